"""SLUB as a specification: slabs with lists of free objects, CPUs and nodes with lists of slabs.

Slow and plain on purpose. Written from mm/slub.c of Linux 5.2 and 6.1, independently of `core.slabs.slub`.
"""

from dataclasses import dataclass, field

SHRINK_PROMOTE_MAX = 32


@dataclass(frozen=True)
class Geometry:
    """A kmem_cache: objects and pages of a slab, object size, and what is kept in reserve."""

    objects: int
    pages: int
    object_bytes: int
    min_partial: int
    cpu_partial: int
    reclaimable: bool = False


@dataclass(eq=False)
class Slab:
    """A slab: `free` are its free objects that no CPU has taken for itself."""

    cache: "KmemCache"
    node: int
    free: list[int] = field(default_factory=list)
    frozen: bool = True
    pobjects: int = 0  # of this slab and those below it on a CPU's partial list

    def inuse(self):
        return self.cache.geometry.objects - len(self.free)


@dataclass
class Cpu:
    """kmem_cache_cpu: the slab to allocate from, its free objects, and a stack of partial slabs."""

    slab: Slab | None = None
    freelist: list[int] = field(default_factory=list)
    partial: list[Slab] = field(default_factory=list)


class KmemCache:
    """A cache of one owner. `page_allocator` is told of each slab taken and given back, and on which CPU."""

    def __init__(self, geometry, cpus, nodes, rule, page_allocator):
        self.geometry, self.rule, self.page_allocator = geometry, rule, page_allocator
        self.cpu = [Cpu() for _ in range(cpus)]
        self.partial = [[] for _ in range(nodes)]
        self.slabs, self.objects = 0, 0
        self.activate()

    def activate(self):
        self.min_partial, self.cpu_partial = self.geometry.min_partial, self.geometry.cpu_partial

    def cpus_holding(self):
        return sum(bool(c.slab or c.partial) for c in self.cpu)

    def node_of(self, cpu):
        return cpu * len(self.partial) // len(self.cpu)

    def alloc(self, cpu):
        """kmem_cache_alloc(): returns the slab and the object."""
        c = self.cpu[cpu]
        while not c.freelist:
            self.slow_path(cpu, c)
        self.objects += 1
        return c.slab, c.freelist.pop()

    def slow_path(self, cpu, c):
        """___slab_alloc(): one step towards a CPU with free objects."""
        if c.slab:
            c.freelist, c.slab.free = c.slab.free, []
            if not c.freelist:
                c.slab.frozen = False
                c.slab = None
        elif c.partial:
            c.slab = c.partial.pop()
        elif not self.get_partial(cpu, c):
            self.slabs += 1
            c.slab = Slab(self, self.node_of(cpu))
            c.freelist = list(range(self.geometry.objects))
            self.page_allocator("charge", self, cpu)

    def get_partial(self, cpu, c):
        nodes = len(self.partial)
        for away in range(nodes):
            partial = self.partial[(self.node_of(cpu) + away) % nodes]
            if len(partial) > (self.min_partial if away else 0):
                self.get_partial_node(cpu, c, partial)
                return True
        return False

    def get_partial_node(self, cpu, c, partial):
        objects_taken = slabs_taken = 0
        while partial:
            slab = partial.pop(0)
            slab.frozen = True
            objects_taken += len(slab.free)
            if c.slab is None:
                c.slab = slab
                c.freelist, slab.free = slab.free, []
            else:
                self.put_cpu_partial(cpu, slab, drain=False)
                slabs_taken += 1
            taken = slabs_taken if self.rule == "slabs" else objects_taken
            if self.rule == "off" or taken > self.cpu_partial // 2:
                return

    def free(self, slab, obj, cpu):
        """kmem_cache_free()"""
        self.objects -= 1
        c = self.cpu[cpu]
        if c.slab is slab:
            c.freelist.append(obj)
            return
        was_full = not slab.free
        slab.free.append(obj)
        if slab.frozen:
            return
        if was_full and self.rule != "off":
            slab.frozen = True
            self.put_cpu_partial(cpu, slab, drain=True)
            return
        partial = self.partial[slab.node]
        if slab.inuse() == 0 and len(partial) >= self.min_partial:
            if not was_full:
                partial.remove(slab)
            self.discard(slab, cpu)
        elif was_full:
            partial.append(slab)

    def put_cpu_partial(self, cpu, slab, drain):
        c = self.cpu[cpu]
        if drain and c.partial:
            pobjects = c.partial[-1].pobjects
            full = pobjects >= self.cpu_partial if self.rule == "slabs" else pobjects > self.cpu_partial
            if full:
                self.unfreeze_partials(cpu)
        slab.pobjects = (c.partial[-1].pobjects if c.partial else 0) + (1 if self.rule == "slabs" else len(slab.free))
        c.partial.append(slab)
        if self.cpu_partial == 0:
            self.unfreeze_partials(cpu)

    def unfreeze_partials(self, cpu):
        c, empty = self.cpu[cpu], []
        while c.partial:
            slab = c.partial.pop()
            slab.frozen = False
            if slab.inuse() == 0 and len(self.partial[slab.node]) >= self.min_partial:
                empty.insert(0, slab)
            else:
                self.partial[slab.node].append(slab)
        for slab in empty:
            self.discard(slab, cpu)

    def discard(self, slab, cpu):
        self.slabs -= 1
        self.page_allocator("uncharge", self, cpu)

    def deactivate(self, cpu):
        """__kmemcg_cache_deactivate(), and the worker that shrinks the cache on `cpu`."""
        self.min_partial = self.cpu_partial = 0
        for each in range(len(self.cpu)):
            self.flush(each)
        for partial in self.partial:
            for slab in [slab for slab in partial if slab.inuse() == 0]:
                partial.remove(slab)
                self.discard(slab, cpu)
            # list_move() to the head of a bucket turns its order around
            promoted = [slab for slab in reversed(partial) if len(slab.free) <= SHRINK_PROMOTE_MAX]
            promoted.sort(key=lambda slab: len(slab.free))
            partial[:] = promoted + [slab for slab in partial if slab not in promoted]

    def flush(self, cpu):
        """flush_slab() and unfreeze_partials() on one CPU."""
        c = self.cpu[cpu]
        if c.slab:
            slab, c.slab = c.slab, None
            freed_by_others = bool(slab.free)
            slab.free, c.freelist = slab.free + c.freelist, []
            slab.frozen = False
            partial = self.partial[slab.node]
            if slab.inuse() == 0 and len(partial) >= self.min_partial:
                self.discard(slab, cpu)
            elif slab.free:
                partial.insert(len(partial) if freed_by_others else 0, slab)
        self.unfreeze_partials(cpu)
