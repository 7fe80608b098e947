"""The charge path as a specification: every object, page, counter, reference and stock by itself.

Read it to learn what `core.charge.count` counts. One class per design, the kernel's names, one increment of `ops` for
each operation that a kernel would execute. It shares no code with `core` and is as slow as it looks.

An event is a tuple: ("alloc", object, memcg, cache, early, cpu), ("free", object, cpu), ("online", memcg, cpu),
("offline", memcg, cpu); memcg 0 is the root. At ("start", cpu) counting begins anew; at ("sample", cpu) somebody looks
how many pages the stocks hold.
"""

from collections import Counter, defaultdict
from dataclasses import dataclass, field, replace

from tests.reference import slab, slub
from tests.reference.slub import Geometry

COUNTERS = tuple(
    f"{name}_atomics" for name in ("leaf_counter", "upper_counter", "memsw_counter", "kmem_counter", "protection")
)
SHARED = ("refcount_atomics", "byte_atomics", "stat_atomics")
POINTER_BYTES = 8  # of an object's slot in the vector of obj_cgroups


@dataclass(frozen=True, kw_only=True)
class Settings:
    """One lane: a design with all its settings."""

    cpus: int
    nodes: int
    caches: tuple[Geometry, ...]
    partial_rule: str  # of SLUB: off, objects or slabs; arrays: SLAB
    page_bytes: int
    batch: int
    stat_batch: int
    stock: bool
    uncharge_batched: bool | None
    depth: int
    v1: bool
    swap_accounting: bool
    protected_levels: int
    protection_xchg_elided: bool
    objcg_as_of: str
    stock_victim: str  # of a full stock of pages with several slots: random or in_turn


class PageCounter:
    """A page_counter and those above it. `level` is 0 at the root."""

    def __init__(self, kernel, kind, level, parent):
        self.kernel, self.kind, self.level, self.parent, self.usage = kernel, kind, level, parent, 0

    def walk(self, pages, by_uncharge):
        """page_counter_try_charge() or page_counter_uncharge(): one atomic a level, each followed by protection."""
        settings, ops = self.kernel.settings, self.kernel.ops
        counter = self
        while counter:
            counter.usage += pages
            assert counter.usage >= 0
            done = [f"{counter.kind}_counter_atomics"]
            if counter.kind == "memory":
                done = ["leaf_counter_atomics" if counter.level == settings.depth else "upper_counter_atomics"]
                if 1 <= counter.level <= settings.protected_levels and not settings.protection_xchg_elided:
                    done.append("protection_atomics")
            ops.update(done)
            ops["uncharge_counter_atomics"] += by_uncharge * len(done)
            counter = counter.parent


@dataclass(eq=False)
class Memcg:
    """A memcg, its counters, and the references that hold it (`css`, over one while it is online)."""

    number: int
    parent: "Memcg | None"
    memory: PageCounter
    memsw: PageCounter
    kmem: PageCounter
    dead: bool = False
    css: int = 0
    caches: dict[int, slub.KmemCache] = field(default_factory=dict)
    slabs: int = 0

    @property
    def is_root(self):
        return self.parent is None


@dataclass
class Stock:
    """memcg_stock_pcp: parallel lists, one entry per slot."""

    cached: list[Memcg | None]
    pages: list[int]


class Kernel:
    """What all designs have in common: memcgs, counters, stocks, statistics. Alone, it accounts for nothing."""

    slots = 1
    reparents = False  # charges of a memcg that goes offline become its parent's
    ref_per_slot = False  # a stock holds one css reference per slot (5.9), or one per page

    def __init__(self, settings):
        self.settings, self.ops = settings, Counter()
        self.page_events, self.stocked = [], []
        self.stocks = [Stock([None] * self.slots, [0] * self.slots) for _ in range(settings.cpus)]
        self.drift = defaultdict(int)
        self.objects = {}
        self.root = self.top = self.new_memcg(0, None, 0)
        for level in range(1, settings.depth):
            self.top = self.new_memcg(0, self.top, level)
        self.memcgs = {0: self.root}

    def new_memcg(self, number, parent, level):
        counters = [
            PageCounter(self, kind, level, getattr(parent, kind) if parent else None)
            for kind in ("memory", "memsw", "kmem")
        ]
        return Memcg(number, parent, *counters)

    def run(self, events):
        for kind, *rest in events:
            getattr(self, kind)(*rest)
        self.check_books()
        self.stocked.append(self.stocked_pages())
        self.sum_up()
        return self.ops

    def start(self, cpu):
        self.ops.clear()
        self.page_event("start", self.top, 0, cpu)

    def sample(self, cpu):
        self.stocked.append(self.stocked_pages())
        self.page_event("sample", self.top, 0, cpu)

    def stocked_pages(self):
        return sum(sum(stock.pages) for stock in self.stocks)

    def sum_up(self):
        """Totals, and what the memcgs that are online have at the end."""
        ops = self.ops
        ops["counter_atomics"] = sum(ops[name] for name in COUNTERS)
        ops["shared_atomics"] = sum(ops[name] for name in ("counter_atomics", *SHARED))
        ops["percpu_ops"] = ops["percpu_ref_ops"] + ops["percpu_stat_ops"]
        ops["stocked_bytes_mean"] = sum(self.stocked) / len(self.stocked) * self.settings.page_bytes
        ops["memcg_stocks"] = sum(pages > 0 for stock in self.stocks for pages in stock.pages)
        for memcg in set(self.memcgs.values()):
            for kmem_cache in memcg.caches.values() if not memcg.dead else ():
                ops["memcg_caches"] += kmem_cache.slabs > 0
                ops["memcg_slabs"] += kmem_cache.slabs
                ops["memcg_cpu_slabs"] += kmem_cache.cpus_holding()

    def online(self, number, cpu):
        self.memcgs[number] = self.new_memcg(number, self.top, self.settings.depth)

    def offline(self, number, cpu):
        pass

    def alloc(self, obj, number, cache, early, cpu):
        self.ops["objects_allocated"] += 1

    def free(self, obj, cpu):
        self.ops["objects_freed"] += 1

    # -- page counters

    def walk(self, memcg, pages, by_uncharge=False):
        """The counters that a stock stands for: memory, and in v1 with swap accounting memory+swap."""
        memcg.memory.walk(pages, by_uncharge)
        if self.settings.v1 and self.settings.swap_accounting:
            memcg.memsw.walk(pages, by_uncharge)

    def walk_kmem(self, memcg, pages):
        """memory.kmem of cgroup v1 has no stock."""
        if self.settings.v1:
            memcg.kmem.walk(pages, by_uncharge=pages < 0)

    # -- references

    def css_get(self, memcg, many=1):
        self.ops["refcount_atomics" if memcg.dead else "percpu_ref_ops"] += 1
        memcg.css += many

    def css_put(self, memcg, many=1):
        self.ops["refcount_atomics" if memcg.dead else "percpu_ref_ops"] += 1
        memcg.css -= many
        assert memcg.css >= 0

    # -- the stock

    def try_charge(self, memcg, pages, cpu):
        """try_charge(), with no limit to hit. Pages come with css references before 5.9."""
        self.page_event("charge", memcg, pages, cpu)
        self.ops["page_charges"] += 1
        self.ops["pages_charged"] += pages
        if not self.consume_stock(memcg, pages, cpu):
            self.ops["charge_walks"] += 1
            batch = max(self.settings.batch, pages) if self.settings.stock else pages
            self.walk(memcg, batch)
            if not self.ref_per_slot:
                self.css_get(memcg, batch)
            if batch > pages:
                self.refill_stock(memcg, batch - pages, cpu)

    def consume_stock(self, memcg, pages, cpu):
        stock = self.stocks[cpu]
        if pages > self.settings.batch or memcg not in stock.cached:
            return False
        slot = stock.cached.index(memcg)
        if stock.pages[slot] < pages:
            return False
        stock.pages[slot] -= pages
        self.ops["stock_hits"] += 1
        return True

    def refill_stock(self, memcg, pages, cpu):
        stock = self.stocks[cpu]
        if memcg not in stock.cached:
            self.drain_stock(stock, 0)
            self.take_slot(stock, 0, memcg)
        stock.pages[0] += pages
        if stock.pages[0] > self.settings.batch:
            self.drain_stock(stock, 0)

    def take_slot(self, stock, slot, memcg):
        if self.ref_per_slot:
            self.css_get(memcg)
        stock.cached[slot] = memcg

    def drain_stock(self, stock, slot):
        memcg, pages = stock.cached[slot], stock.pages[slot]
        if memcg is None:
            return
        stock.cached[slot], stock.pages[slot] = None, 0
        if pages:
            self.ops["stock_drains"] += 1
            self.ops["drain_walks"] += 1
            self.walk(memcg, -pages)
            if not self.ref_per_slot:
                self.css_put(memcg, pages)
        if self.ref_per_slot:
            self.css_put(memcg)

    def drain_all_stock(self, memcg):
        for stock in self.stocks:
            if any(cached is memcg and pages for cached, pages in zip(stock.cached, stock.pages, strict=True)):
                self.ops["stock_offline_drains"] += sum(pages > 0 for pages in stock.pages)
                for slot in range(self.slots):
                    self.drain_stock(stock, slot)

    def page_event(self, kind, memcg, pages, cpu):
        """Only for comparison: what the stocks are asked, in order; 0 is the parent of all memcgs."""
        self.page_events.append((kind, 0 if memcg is self.top else memcg.number, pages, cpu))

    # -- statistics

    def mod_lruvec_state(self, memcg, item, delta, cpu, threshold):
        """Linux 5.2 to 5.12: what drifts too far on a CPU goes to memcg and lruvec, and to those above."""
        self.drift[cpu, memcg, item] += delta
        if abs(self.drift[cpu, memcg, item]) > threshold:
            self.drift[cpu, memcg, item] = 0
            counter = memcg.memory
            while counter:
                self.ops["stat_atomics"] += 2
                counter = counter.parent

    def check_books(self):
        """A counter holds what is charged to its memcg and to those below, in use or stocked."""
        held = Counter()
        for memcg, pages in self.pages_in_use():
            held[memcg] += pages
        for stock in self.stocks:
            for memcg, pages in zip(stock.cached, stock.pages, strict=True):
                held[memcg] += pages
        usage = Counter()
        for memcg, pages in held.items():
            payer = memcg
            while payer:
                usage[payer] += pages
                payer = payer.parent
        for memcg in self.true_counters():
            assert memcg.memory.usage == usage[memcg]

    def true_counters(self):
        """Not the root's, which some kernels leave alone; nor a dead memcg's own, once its pages pay to the parent."""
        alive = [memcg for memcg in self.memcgs.values() if not (self.reparents and memcg.dead)]
        return [memcg for memcg in [self.top, *alive] if not memcg.is_root]

    def pages_in_use(self):
        return []


class Unaccounted(Kernel):
    """cgroup.memory=nokmem: one cache for all, and nothing is charged."""

    def __init__(self, settings):
        super().__init__(settings)
        self.caches = [self.new_cache(None, cache) for cache in range(len(settings.caches))]

    def new_cache(self, owner, cache):
        s = self.settings

        def page_allocator(event, kmem_cache, cpu):
            self.ops["slabs_allocated" if event == "charge" else "slabs_freed"] += 1
            self.slab_event(event, kmem_cache, owner, s.caches[cache], cpu)

        allocator = slab if s.partial_rule == "arrays" else slub
        return allocator.KmemCache(s.caches[cache], s.cpus, s.nodes, s.partial_rule, page_allocator)

    def slab_event(self, event, kmem_cache, owner, geometry, cpu):
        pass

    def alloc(self, obj, number, cache, early, cpu):
        super().alloc(obj, number, cache, early, cpu)
        self.objects[obj] = (self.caches[cache], *self.caches[cache].alloc(cpu))

    def free(self, obj, cpu):
        super().free(obj, cpu)
        kmem_cache, *place = self.objects.pop(obj)
        kmem_cache.free(*place, cpu)


class PageRef(Unaccounted):
    """Linux 4.19 to 5.2: a memcg has caches of its own; each of their pages is charged and refers to the memcg."""

    def online(self, number, cpu):
        super().online(number, cpu)
        self.page_event("online", self.memcgs[number], 0, cpu)

    def alloc(self, obj, number, cache, early, cpu):
        memcg = self.memcgs[number]
        if early and cache not in memcg.caches:
            memcg = self.root
        if memcg is not self.root and cache not in memcg.caches:
            memcg.caches[cache] = self.new_cache(memcg, cache)
        kmem_cache = memcg.caches.get(cache, self.caches[cache])
        self.memcg_kmem_get_cache(memcg)
        self.ops["objects_allocated"] += 1
        self.objects[obj] = (kmem_cache, *kmem_cache.alloc(cpu))

    def memcg_kmem_get_cache(self, memcg):
        """css_tryget_online() before the allocation, css_put() after it, also if it goes to the root cache."""
        self.ops["percpu_ref_ops"] += 2

    def slab_event(self, event, kmem_cache, owner, geometry, cpu):
        if owner is None:
            return
        if event == "charge":
            owner.slabs += 1
            self.memcg_charge_slab(self.charged_memcg(owner), geometry, cpu)
        else:
            owner.slabs -= 1
            self.free_slab(owner, geometry, cpu)

    def free_slab(self, owner, geometry, cpu):
        self.ops["page_uncharges"] += 1
        self.memcg_uncharge_slab(self.charged_memcg(owner), geometry, cpu)

    def charged_memcg(self, owner):
        """Who pays for the pages of `owner`: the parent, if they are reparented."""
        return self.top if self.reparents and owner.dead else owner

    def memcg_charge_slab(self, memcg, geometry, cpu):
        self.try_charge(memcg, geometry.pages, cpu)
        self.walk_kmem(memcg, geometry.pages)
        self.count_slab(memcg, geometry, geometry.pages, cpu)

    def memcg_uncharge_slab(self, memcg, geometry, cpu):
        self.count_slab(memcg, geometry, -geometry.pages, cpu)
        if self.reparents and memcg.is_root:
            return
        self.walk_kmem(memcg, -geometry.pages)
        if self.uncharge(memcg, geometry.pages, cpu) == "at once":
            self.css_put(memcg, geometry.pages)

    def uncharge(self, memcg, pages, cpu):
        """Take pages off the counters at once, or leave them, with their references, to the stock."""
        if self.settings.stock and self.settings.uncharge_batched:
            self.page_event("uncharge", memcg, pages, cpu)
            self.refill_stock(memcg, pages, cpu)
            return "to stock"
        self.page_event("uncharge at once", memcg, pages, cpu)
        self.ops["uncharge_walks"] += 1
        self.walk(memcg, -pages, by_uncharge=True)
        return "at once"

    def count_slab(self, memcg, geometry, pages, cpu):
        if self.reparents and memcg.is_root:
            self.ops["percpu_stat_ops"] += 1  # the node's alone
            return
        self.ops["percpu_stat_ops"] += 5  # node; memcg and lruvec, local and propagated
        self.mod_lruvec_state(memcg, geometry.reclaimable, pages, cpu, self.settings.stat_batch)

    def offline(self, number, cpu):
        memcg = self.memcgs[number]
        memcg.dead = True
        self.reparent(memcg)
        self.page_event("offline", memcg, 0, cpu)
        self.drain_all_stock(memcg)
        for cache in sorted(memcg.caches):  # in the order of the root caches: memcg_deactivate_kmem_caches()
            memcg.caches[cache].deactivate(cpu)

    def reparent(self, memcg):
        pass

    def pages_in_use(self):
        for memcg in set(self.memcgs.values()):
            for kmem_cache in memcg.caches.values():
                yield self.charged_memcg(memcg), kmem_cache.slabs * kmem_cache.geometry.pages

    def check_books(self):
        super().check_books()
        for memcg in self.true_counters():
            assert memcg is self.top or memcg.css == memcg.memory.usage, "a page, in use or stocked, has one reference"


class PageList(PageRef):
    """Proposed: charged pages are on a list, so that offline can hand them, page by page, to the parent."""

    reparents = True

    def memcg_charge_slab(self, memcg, geometry, cpu):
        super().memcg_charge_slab(memcg, geometry, cpu)
        self.ops["lock_acquisitions"] += 1

    def memcg_uncharge_slab(self, memcg, geometry, cpu):
        super().memcg_uncharge_slab(memcg, geometry, cpu)
        self.ops["lock_acquisitions"] += 1
        if memcg.is_root:
            self.css_put(memcg, geometry.pages)

    def reparent(self, memcg):
        """The walk itself is an offline cost; here only its outcome counts: whose references the pages hold."""
        for kmem_cache in memcg.caches.values():
            memcg.css -= kmem_cache.slabs * kmem_cache.geometry.pages
            self.top.css += kmem_cache.slabs * kmem_cache.geometry.pages


class ReparentPercpu(PageRef):
    """Linux 5.3 to 5.8: pages refer to their kmem_cache by a percpu_ref, the kmem_cache to the memcg or its parent."""

    reparents = True

    def memcg_kmem_get_cache(self, memcg):
        """percpu_ref_tryget() and percpu_ref_put() on the cache; nothing for a root cache."""
        if memcg is not self.root:
            self.ops["percpu_ref_ops"] += 2

    def memcg_charge_slab(self, memcg, geometry, cpu):
        self.ops["percpu_ref_ops"] += 1  # css_tryget_online()
        super().memcg_charge_slab(memcg, geometry, cpu)
        self.get_cache()
        self.css_put(memcg, geometry.pages)
        self.ops["percpu_ref_ops"] += 1  # css_put()

    def memcg_uncharge_slab(self, memcg, geometry, cpu):
        self.count_slab(memcg, geometry, -geometry.pages, cpu)
        if not memcg.is_root:
            self.walk_kmem(memcg, -geometry.pages)
            if self.settings.stock and self.settings.uncharge_batched:
                self.css_get(memcg, geometry.pages)  # stocked pages need the references that slab pages do not have
            self.uncharge(memcg, geometry.pages, cpu)
        self.put_cache(memcg)

    def get_cache(self):
        """percpu_ref_get_many(), once for all pages of the slab."""
        self.ops["percpu_ref_ops"] += 1

    def put_cache(self, memcg):
        """percpu_ref_put_many(): an atomic once the cache is deactivated, which is when it pays to the parent."""
        self.ops["refcount_atomics" if memcg is self.top else "percpu_ref_ops"] += 1

    def check_books(self):
        Kernel.check_books(self)
        stocked = Counter()
        for stock in self.stocks:
            stocked[stock.cached[0]] += stock.pages[0]
        for memcg in self.memcgs.values():
            assert memcg.css == stocked[memcg], "only stocked pages refer to the memcg"


class ReparentAtomic(ReparentPercpu):
    """April 2019: the same with an atomic counter on the cache, and the memcg held while allocating, as in 5.2."""

    def memcg_kmem_get_cache(self, memcg):
        PageRef.memcg_kmem_get_cache(self, memcg)

    def memcg_charge_slab(self, memcg, geometry, cpu):
        PageRef.memcg_charge_slab(self, memcg, geometry, cpu)
        self.get_cache()
        self.css_put(memcg, geometry.pages)

    def get_cache(self):
        self.ops["refcount_atomics"] += 1

    def put_cache(self, memcg):
        self.ops["refcount_atomics"] += 1


class ReuseDead(PageRef):
    """Proposed: a new cgroup becomes the memcg that has been dead longest, if that still has slabs."""

    def __init__(self, settings):
        super().__init__(settings)
        self.graveyard = []

    def online(self, number, cpu):
        while self.graveyard:
            memcg = self.graveyard.pop(0)
            if memcg.slabs:
                memcg.dead = False
                for kmem_cache in memcg.caches.values():
                    kmem_cache.activate()
                self.memcgs[number] = memcg
                self.page_event("online", memcg, 0, cpu)
                return
        super().online(number, cpu)

    def offline(self, number, cpu):
        super().offline(number, cpu)
        self.graveyard.append(self.memcgs[number])


@dataclass(eq=False)
class ObjCgroup:
    """obj_cgroup: who pays for objects, and the bytes that CPUs have handed back."""

    memcg: Memcg
    nr_charged_bytes: int = 0
    refs: int = 1
    dead: bool = False


@dataclass
class ByteStock:
    """obj_stock: bytes of one obj_cgroup, and statistics not yet counted."""

    cached: ObjCgroup | None = None
    nr_bytes: int = 0
    stats: list[int] = field(default_factory=lambda: [0, 0])


class Objcg(Unaccounted):
    """Linux 5.9 and later: slabs are shared, and every object is charged by its bytes."""

    reparents = True
    ref_per_slot = True

    def __init__(self, settings):
        super().__init__(settings)
        self.as_of = as_number(settings.objcg_as_of)
        batched = settings.uncharge_batched
        if batched is None:
            batched = self.as_of >= (5, 11)
        self.refill_to_stock = batched and settings.stock
        self.drain_to_stock = self.refill_to_stock and self.as_of < (6, 16)
        self.byte_stocks = [ByteStock() for _ in range(settings.cpus)]
        self.objcgs = {}

    def online(self, number, cpu):
        super().online(number, cpu)
        self.objcgs[number] = ObjCgroup(self.memcgs[number])

    def offline(self, number, cpu):
        """memcg_reparent_objcgs(), drain_all_stock(), percpu_ref_kill()"""
        memcg, objcg = self.memcgs[number], self.objcgs[number]
        memcg.dead = objcg.dead = True
        objcg.memcg = self.top
        self.page_event("offline", memcg, 0, cpu)
        self.drain_all_stock(memcg)
        objcg.refs -= 1
        self.release_if_unused(objcg, cpu)

    def alloc(self, obj, number, cache, early, cpu):
        super().alloc(obj, number, cache, early, cpu)
        if number:
            objcg, geometry = self.current_objcg(number, cpu), self.settings.caches[cache]
            if self.as_of < (6, 7):
                self.ops["percpu_ref_ops"] += 2  # obj_cgroup_tryget() before, obj_cgroup_put() after
            self.obj_cgroup_charge(objcg, geometry.object_bytes + POINTER_BYTES, cpu)
            self.obj_cgroup_get(objcg)
            self.objects[obj] += (objcg,)
            self.mod_objcg_state(objcg, geometry.reclaimable, geometry.object_bytes + POINTER_BYTES, cpu)

    def free(self, obj, cpu):
        self.uncharge_object(obj, cpu)
        super().free(obj, cpu)

    def uncharge_object(self, obj, cpu):
        """memcg_slab_free_hook()"""
        kmem_cache, slab, token, *objcgs = self.objects[obj]
        self.objects[obj] = (kmem_cache, slab, token)
        for objcg in objcgs:
            size = kmem_cache.geometry.object_bytes + POINTER_BYTES
            self.refill_obj_stock(objcg, size, cpu, allow_uncharge=True)
            self.mod_objcg_state(objcg, kmem_cache.geometry.reclaimable, -size, cpu)
            self.obj_cgroup_put(objcg, cpu)

    def current_objcg(self, number, _cpu):
        return self.objcgs[number]

    def all_objcgs(self):
        return list(self.objcgs.values())

    def stocked_bytes(self):
        return [(stock.cached, stock.nr_bytes) for stock in self.byte_stocks]

    def consume_obj_stock(self, objcg, size, cpu):
        stock = self.byte_stocks[cpu]
        if stock.cached is objcg and stock.nr_bytes >= size:
            stock.nr_bytes -= size
            return True
        return False

    def obj_cgroup_charge(self, objcg, size, cpu):
        if self.consume_obj_stock(objcg, size, cpu):
            return
        pages = -(-size // self.settings.page_bytes)
        self.css_get(objcg.memcg)
        self.try_charge(objcg.memcg, pages, cpu)
        self.walk_kmem(objcg.memcg, pages)
        self.css_put(objcg.memcg)
        if pages * self.settings.page_bytes > size:
            self.refill_obj_stock(objcg, pages * self.settings.page_bytes - size, cpu, allow_uncharge=False)

    def refill_obj_stock(self, objcg, size, cpu, *, allow_uncharge):
        stock = self.byte_stocks[cpu]
        if stock.cached is not objcg:
            self.switch(objcg, cpu)
            allow_uncharge = True
        stock.nr_bytes += size
        if stock.nr_bytes > self.settings.page_bytes:
            if self.as_of < (5, 14):
                self.drain_obj_stock(cpu)
            elif allow_uncharge:
                pages, stock.nr_bytes = divmod(stock.nr_bytes, self.settings.page_bytes)
                self.uncharge_pages(objcg, pages, cpu, to_stock=self.refill_to_stock)

    def switch(self, objcg, cpu):
        self.drain_obj_stock(cpu)
        self.obj_cgroup_get(objcg)
        stock = self.byte_stocks[cpu]
        stock.cached = objcg
        if objcg.nr_charged_bytes or self.as_of < (5, 14):
            self.ops["byte_atomics"] += 1
        stock.nr_bytes, objcg.nr_charged_bytes = objcg.nr_charged_bytes, 0

    def drain_obj_stock(self, cpu):
        stock = self.byte_stocks[cpu]
        objcg = stock.cached
        if objcg is None:
            return
        if stock.nr_bytes:
            pages, rest = divmod(stock.nr_bytes, self.settings.page_bytes)
            if pages:
                self.uncharge_pages(objcg, pages, cpu, to_stock=self.drain_to_stock)
            self.ops["byte_atomics"] += 1
            objcg.nr_charged_bytes += rest
            stock.nr_bytes = 0
        self.ops["percpu_stat_ops"] += 2 * sum(stat != 0 for stat in stock.stats)
        stock.stats = [0, 0]
        stock.cached = None
        self.obj_cgroup_put(objcg, cpu)

    def uncharge_pages(self, objcg, pages, cpu, *, to_stock):
        """From the memcg, or from the parent that the objcg was reparented to."""
        memcg = objcg.memcg
        self.ops["page_uncharges"] += 1
        if self.as_of >= (5, 14):
            self.css_get(memcg)
            self.css_put(memcg)
        if memcg.is_root and self.as_of >= (6, 16):
            return
        self.walk_kmem(memcg, -pages)
        self.page_event("uncharge" if to_stock else "uncharge at once", memcg, pages, cpu)
        if to_stock:
            self.refill_stock(memcg, pages, cpu)
        else:
            self.ops["uncharge_walks"] += 1
            self.walk(memcg, -pages, by_uncharge=True)

    def mod_objcg_state(self, objcg, item, delta, cpu):
        """Before 5.14 each change is counted; then a CPU gathers changes until they exceed a page."""
        if self.as_of < (5, 14):
            self.ops["percpu_stat_ops"] += 4  # memcg and lruvec, local and propagated
            threshold = self.settings.stat_batch * self.settings.page_bytes
            self.mod_lruvec_state(objcg.memcg, item, delta, cpu, threshold)
            return
        stock = self.byte_stocks[cpu]
        if stock.cached is not objcg:
            self.switch(objcg, cpu)
        if stock.stats[item] == 0:
            stock.stats[item] = delta
            return
        stock.stats[item] += delta
        if abs(stock.stats[item]) > self.settings.page_bytes:
            stock.stats[item] = 0
            self.ops["percpu_stat_ops"] += 2  # memcg and lruvec; rstat does the rest

    def obj_cgroup_get(self, objcg):
        self.ops["refcount_atomics" if objcg.dead else "percpu_ref_ops"] += 1
        objcg.refs += 1

    def obj_cgroup_put(self, objcg, cpu):
        self.ops["refcount_atomics" if objcg.dead else "percpu_ref_ops"] += 1
        objcg.refs -= 1
        self.release_if_unused(objcg, cpu)

    def release_if_unused(self, objcg, cpu):
        """obj_cgroup_release(): by now what CPUs handed back makes whole pages."""
        if objcg.refs == 0:
            pages, rest = divmod(objcg.nr_charged_bytes, self.settings.page_bytes)
            assert rest == 0
            objcg.nr_charged_bytes = 0
            if pages:
                self.uncharge_pages(objcg, pages, cpu, to_stock=self.refill_to_stock)

    def pages_in_use(self):
        """Bytes of an obj_cgroup's objects, of stocks and left over make the pages that its memcg has charged."""
        held = Counter()
        for kmem_cache, _slab, _token, *objcgs in self.objects.values():
            for objcg in objcgs:
                held[objcg] += kmem_cache.geometry.object_bytes + POINTER_BYTES
        for objcg, nr_bytes in self.stocked_bytes():
            held[objcg] += nr_bytes
        for objcg in self.all_objcgs():
            held[objcg] += objcg.nr_charged_bytes
        for objcg, size in held.items():
            assert size % self.settings.page_bytes == 0
            if objcg:
                yield objcg.memcg, size // self.settings.page_bytes


def as_number(version):
    return tuple(int(part) for part in version.split("."))


class ObjcgMultiStock(Objcg):
    """Linux 6.16 to 7.0: a stock has seven slots."""

    slots = 7
    in_turn = False

    def __init__(self, settings):
        super().__init__(replace(settings, objcg_as_of="6.16"))
        self.drain_idx = [0] * settings.cpus

    def refill_stock(self, memcg, pages, cpu):
        stock = self.stocks[cpu]
        if pages > self.settings.batch:
            self.ops["stock_drains"] += 1
            self.ops["drain_walks"] += 1
            self.walk(memcg, -pages)
        elif memcg in stock.cached:
            slot = stock.cached.index(memcg)
            stock.pages[slot] += pages
            if stock.pages[slot] > self.settings.batch:
                self.drain_stock(stock, slot)
        else:
            slot = stock.cached.index(None) if None in stock.cached else self.victim(cpu)
            self.drain_stock(stock, slot)
            self.take_slot(stock, slot, memcg)
            stock.pages[slot] = pages

    def victim(self, cpu):
        """In turn, or drawn: then here it is the splitmix64 of the page event's number, as anyone can compute."""
        if self.in_turn or self.settings.stock_victim == "in_turn":
            slot = self.drain_idx[cpu]
            self.drain_idx[cpu] = (slot + 1) % self.slots
            return slot
        z = len(self.page_events) * 0x9E3779B97F4A7C15 % 2**64
        z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9 % 2**64
        z = (z ^ z >> 27) * 0x94D049BB133111EB % 2**64
        return (z >> 33) % self.slots


@dataclass
class ObjStock:
    """obj_stock_pcp of 7.2: parallel lists, one entry per slot; statistics of the slot at `index`."""

    cached: list[ObjCgroup | None] = field(default_factory=lambda: [None] * 5)
    nr_bytes: list[int] = field(default_factory=lambda: [0] * 5)
    stats: list[int] = field(default_factory=lambda: [0, 0])
    index: int = -1
    drain_idx: int = 0


class ObjcgInTurn(ObjcgMultiStock):
    """Linux 7.1: slots go in turn; the byte stock takes the obj_cgroups of a memcg's nodes for one."""

    in_turn = True


class ObjcgPerNode(ObjcgInTurn):
    """Linux 7.2 and later: an objcg for each node, and byte stocks of five slots, given up in turn too."""

    def __init__(self, settings):
        super().__init__(settings)
        self.byte_stocks = [ObjStock() for _ in range(settings.cpus)]

    def online(self, number, cpu):
        Unaccounted.online(self, number, cpu)
        self.objcgs[number] = [ObjCgroup(self.memcgs[number]) for _ in range(self.settings.nodes)]

    def offline(self, number, cpu):
        memcg, objcgs = self.memcgs[number], self.objcgs[number]
        memcg.dead = True
        for objcg in objcgs:
            objcg.dead, objcg.memcg = True, self.top
        self.page_event("offline", memcg, 0, cpu)
        self.drain_all_stock(memcg)
        for objcg in objcgs:
            objcg.refs -= 1
            self.release_if_unused(objcg, cpu)

    def current_objcg(self, number, cpu):
        return self.objcgs[number][cpu * self.settings.nodes // self.settings.cpus]

    def all_objcgs(self):
        return [objcg for objcgs in self.objcgs.values() for objcg in objcgs]

    def stocked_bytes(self):
        return [pair for stock in self.byte_stocks for pair in zip(stock.cached, stock.nr_bytes, strict=True)]

    def consume_obj_stock(self, objcg, size, cpu):
        stock = self.byte_stocks[cpu]
        if objcg in stock.cached and stock.nr_bytes[stock.cached.index(objcg)] >= size:
            stock.nr_bytes[stock.cached.index(objcg)] -= size
            return True
        return False

    def refill_obj_stock(self, objcg, size, cpu, *, allow_uncharge):
        stock = self.byte_stocks[cpu]
        if objcg not in stock.cached:
            if None in stock.cached:
                slot = stock.cached.index(None)
            else:
                slot, stock.drain_idx = stock.drain_idx, (stock.drain_idx + 1) % 5
                self.drain_obj_stock_slot(cpu, slot)
            self.obj_cgroup_get(objcg)
            stock.cached[slot] = objcg
            self.ops["byte_atomics"] += objcg.nr_charged_bytes > 0
            stock.nr_bytes[slot], objcg.nr_charged_bytes = objcg.nr_charged_bytes, 0
            allow_uncharge = True
        slot = stock.cached.index(objcg)
        stock.nr_bytes[slot] += size
        if allow_uncharge and stock.nr_bytes[slot] > self.settings.page_bytes:
            pages, stock.nr_bytes[slot] = divmod(stock.nr_bytes[slot], self.settings.page_bytes)
            self.uncharge_pages(objcg, pages, cpu, to_stock=self.refill_to_stock)

    def drain_obj_stock_slot(self, cpu, slot):
        stock = self.byte_stocks[cpu]
        objcg = stock.cached[slot]
        if stock.nr_bytes[slot]:
            pages, rest = divmod(stock.nr_bytes[slot], self.settings.page_bytes)
            if pages:
                self.uncharge_pages(objcg, pages, cpu, to_stock=self.drain_to_stock)
            self.ops["byte_atomics"] += 1
            objcg.nr_charged_bytes += rest
            stock.nr_bytes[slot] = 0
        if stock.index == slot:
            self.drain_obj_stock_stats(stock)
        stock.cached[slot] = None
        self.obj_cgroup_put(objcg, cpu)

    def drain_obj_stock_stats(self, stock):
        self.ops["percpu_stat_ops"] += 2 * sum(stat != 0 for stat in stock.stats)
        stock.stats = [0, 0]
        stock.index = -1

    def mod_objcg_state(self, objcg, item, delta, cpu):
        """__account_obj_stock()"""
        stock = self.byte_stocks[cpu]
        if objcg not in stock.cached:
            self.ops["percpu_stat_ops"] += 2
            return
        if stock.index != stock.cached.index(objcg):
            self.drain_obj_stock_stats(stock)
            stock.index = stock.cached.index(objcg)
        total = stock.stats[item] + delta
        direct = abs(total) >= 2**15 - 1 or (stock.stats[item] != 0 and abs(total) > self.settings.page_bytes)
        self.ops["percpu_stat_ops"] += 2 * direct
        stock.stats[item] = 0 if direct else total


DESIGNS = {
    "unaccounted": Unaccounted,
    "page_ref": PageRef,
    "reparent_atomic": ReparentAtomic,
    "reparent_percpu": ReparentPercpu,
    "page_list": PageList,
    "reuse_dead": ReuseDead,
    "objcg": Objcg,
    "objcg_multi_stock": ObjcgMultiStock,
    "objcg_per_node": lambda settings: (ObjcgInTurn if settings.objcg_as_of == "7.1" else ObjcgPerNode)(settings),
}
