"""SLAB as a specification: arrays of free objects per CPU and shared, and slabs in three states.

Written from mm/slab.c of Linux 5.2, for one node and without cache_reap(), independently of `core.slabs.slab`.
`Geometry` is that of `reference.slub`, its `cpu_partial` the limit of a CPU's array and its `min_partial` that of the
shared one.
"""

from dataclasses import dataclass, field


@dataclass(eq=False)
class Slab:
    """A slab: its free objects, the others are `active`, be it in an array."""

    free: list[int]
    active: int = 0


@dataclass
class ArrayCache:
    """array_cache: free objects, the last is allocated first."""

    entry: list[tuple[Slab, int]] = field(default_factory=list)
    touched: bool = False


class KmemCache:
    """A cache of one owner. `page_allocator` is told of each slab taken and given back, and on which CPU."""

    def __init__(self, geometry, cpus, nodes, rule, page_allocator):
        assert nodes == 1
        self.geometry, self.page_allocator = geometry, page_allocator
        self.limit, self.shared_limit = geometry.cpu_partial, geometry.min_partial
        self.batchcount = (self.limit + 1) // 2
        self.free_limit = (1 + cpus) * self.batchcount + geometry.objects
        self.cpu = [ArrayCache() for _ in range(cpus)]
        self.shared, self.slabs_partial, self.slabs_free = [], [], []
        self.free_objects = self.slabs = self.objects = 0

    def activate(self):
        pass

    def cpus_holding(self):
        return sum(bool(ac.entry) for ac in self.cpu)

    def alloc(self, cpu):
        ac = self.cpu[cpu]
        if not ac.entry:
            self.cache_alloc_refill(ac, cpu)
        ac.touched = True
        self.objects += 1
        return ac.entry.pop()

    def cache_alloc_refill(self, ac, cpu):
        batchcount = self.batchcount if ac.touched else min(self.batchcount, 16)
        if self.shared:
            ac.entry, self.shared = self.shared[-batchcount:], self.shared[:-batchcount]
            return
        while self.free_objects and len(ac.entry) < batchcount and (self.slabs_partial or self.slabs_free):
            slab = (self.slabs_partial or self.slabs_free).pop(0)
            self.alloc_block(ac, slab, batchcount)
        self.free_objects -= len(ac.entry)
        if not ac.entry:
            slab = Slab(list(range(self.geometry.objects)))
            self.slabs += 1
            self.page_allocator("charge", self, cpu)
            self.alloc_block(ac, slab, batchcount)
            self.free_objects += len(slab.free)

    def alloc_block(self, ac, slab, batchcount):
        while slab.free and len(ac.entry) < batchcount:
            ac.entry.append((slab, slab.free.pop()))
            slab.active += 1
        if slab.free:
            self.slabs_partial.insert(0, slab)

    def free(self, slab, obj, cpu):
        self.objects -= 1
        ac = self.cpu[cpu]
        if len(ac.entry) >= self.limit:
            self.cache_flusharray(ac, cpu)
        ac.entry.append((slab, obj))

    def cache_flusharray(self, ac, cpu):
        room = self.shared_limit - len(self.shared)
        count = min(self.batchcount, room) if room else self.batchcount
        oldest, ac.entry = ac.entry[:count], ac.entry[count:]
        if room:
            self.shared += oldest
        else:
            self.free_block(oldest, cpu)

    def free_block(self, entries, cpu):
        self.free_objects += len(entries)
        for slab, obj in entries:
            for slabs in (self.slabs_partial, self.slabs_free):
                if slab in slabs:
                    slabs.remove(slab)
            slab.free.append(obj)
            slab.active -= 1
            if slab.active:
                self.slabs_partial.append(slab)
            else:
                self.slabs_free.insert(0, slab)
        while self.free_objects > self.free_limit and self.slabs_free:
            self.slab_destroy(cpu)

    def slab_destroy(self, cpu):
        self.slabs_free.pop()
        self.free_objects -= self.geometry.objects
        self.slabs -= 1
        self.page_allocator("uncharge", self, cpu)

    def deactivate(self, cpu):
        """__kmem_cache_shrink(): every array is drained where it is, the shared one and empty slabs by the caller."""
        for each, ac in enumerate(self.cpu):
            entries, ac.entry = ac.entry, []
            self.free_block(entries, each)
        entries, self.shared = self.shared, []
        self.free_block(entries, cpu)
        while self.slabs_free:
            self.slab_destroy(cpu)
