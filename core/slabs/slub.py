"""SLUB: which slab the next object is from, and where a freed one goes.

Follows mm/slub.c: ___slab_alloc(), get_partial_node(), __slab_free(), put_cpu_partial(), unfreeze_partials(),
deactivate_slab(), __kmem_cache_shrink(), as in Linux 5.2 to 6.15. Concurrency is left out: events happen one after
the other, so no cmpxchg is ever retried. A deactivated cache is shrunk at once, not after an RCU grace period.
"""

from __future__ import annotations

from core.compiled import part
from core.slabs.heap import NONE, add_head, add_tail, give_slab, take_slab, unlink

PARTIAL_OFF, PARTIAL_OBJECTS, PARTIAL_SLABS = range(3)  # what bounds a CPU's partial list: `core.slabs.geometry`

SHRINK_PROMOTE_MAX = 32  # mm/slub.c: slabs with fewer free objects are sorted to the front when a cache is shrunk


@part
def refill(heap, inst, cpu):  # type: ignore[no-untyped-def]
    """___slab_alloc(): find the CPU a slab with free objects."""
    objects = heap.caches[inst % heap.caches.size].objects
    c = heap.cpu[inst * heap.cpus + cpu]
    while c.free == 0:
        if c.slab != NONE:  # get_freelist(): what others freed meanwhile
            slab = heap.slabs[c.slab]
            c.free = objects - slab.inuse
            slab.inuse = objects
            if c.free == 0:
                slab.frozen = 0
                c.slab = NONE
        elif c.partial != NONE:
            c.slab = c.partial
            c.partial = heap.slabs[c.slab].next
        elif not _get_partial(heap, inst, cpu):
            c.slab = take_slab(heap, inst, cpu)
            c.free = objects


@part
def _get_partial(heap, inst, cpu):  # type: ignore[no-untyped-def]
    """get_partial(): from the CPU's own node, else from another node that has more partial slabs than it may keep."""
    here = cpu * heap.nodes // heap.cpus
    for away in range(heap.nodes):
        place = inst * heap.nodes + (here + away) % heap.nodes
        nr_partial = heap.node[place].nr_partial
        if nr_partial and (away == 0 or nr_partial > heap.instances[inst].min_partial):
            _get_partial_node(heap, inst, cpu, place)
            return True
    return False


@part
def _get_partial_node(heap, inst, cpu, place):  # type: ignore[no-untyped-def]
    """The first slab for the CPU, then more for its partial list until half of its bound is there."""
    objects = heap.caches[inst % heap.caches.size].objects
    limit = heap.instances[inst].cpu_partial
    c = heap.cpu[inst * heap.cpus + cpu]
    available = 0
    while heap.node[place].head != NONE:
        s = heap.node[place].head
        unlink(heap, place, s)
        slab = heap.slabs[s]
        slab.frozen = 1
        first = c.slab == NONE
        if heap.rule != PARTIAL_SLABS:
            available += objects - slab.inuse
        elif not first:
            available += 1
        if first:
            c.slab = s
            c.free = objects - slab.inuse
            slab.inuse = objects
        else:
            _put_cpu_partial(heap, inst, cpu, s)
        if heap.rule == PARTIAL_OFF or available > limit // 2:
            break


@part
def free(heap, inst, cpu, s):  # type: ignore[no-untyped-def]
    """__slab_free(): an object that is not from the CPU's own slab goes back to its slab."""
    slab = heap.slabs[s]
    was_full = slab.inuse == heap.caches[inst % heap.caches.size].objects
    slab.inuse -= 1
    if slab.frozen or not (was_full or slab.inuse == 0):
        return
    if was_full and heap.rule != PARTIAL_OFF:
        slab.frozen = 1
        _make_room(heap, inst, cpu)
        _put_cpu_partial(heap, inst, cpu, s)
    elif slab.inuse == 0 and heap.node[slab.node].nr_partial >= heap.instances[inst].min_partial:
        if not was_full:
            unlink(heap, slab.node, s)
        give_slab(heap, s, cpu)
    elif was_full:
        add_tail(heap, slab.node, s)


@part
def _make_room(heap, inst, cpu):  # type: ignore[no-untyped-def]
    """put_cpu_partial() for a free: a partial list that is over its bound is emptied first."""
    c = heap.cpu[inst * heap.cpus + cpu]
    limit = heap.instances[inst].cpu_partial
    if c.partial != NONE:
        taken = heap.slabs[c.partial].taken
        if taken > limit or (heap.rule == PARTIAL_SLABS and taken == limit):
            _unfreeze_partials(heap, inst, cpu)


@part
def _put_cpu_partial(heap, inst, cpu, s):  # type: ignore[no-untyped-def]
    """Push a frozen slab on the CPU's partial list; a deactivated cache keeps none."""
    c = heap.cpu[inst * heap.cpus + cpu]
    slab = heap.slabs[s]
    free = heap.caches[inst % heap.caches.size].objects - slab.inuse
    below = heap.slabs[c.partial].taken if c.partial != NONE else 0
    slab.taken = below + (1 if heap.rule == PARTIAL_SLABS else free)
    slab.next = c.partial
    c.partial = s
    if heap.instances[inst].cpu_partial == 0:
        _unfreeze_partials(heap, inst, cpu)


@part
def _unfreeze_partials(heap, inst, cpu):  # type: ignore[no-untyped-def]
    """Move a CPU's partial list to the nodes; empty slabs beyond what a node keeps are freed, last come first."""
    c = heap.cpu[inst * heap.cpus + cpu]
    doomed = NONE
    while c.partial != NONE:
        s = c.partial
        slab = heap.slabs[s]
        c.partial = slab.next
        slab.frozen = 0
        if slab.inuse == 0 and heap.node[slab.node].nr_partial >= heap.instances[inst].min_partial:
            slab.next = doomed
            doomed = s
        else:
            add_tail(heap, slab.node, s)
    while doomed != NONE:
        following = heap.slabs[doomed].next
        give_slab(heap, doomed, cpu)
        doomed = following


@part
def deactivate(heap, inst, cpu):  # type: ignore[no-untyped-def]
    """__kmemcg_cache_deactivate(), then __kmem_cache_shrink() by a worker on `cpu`."""
    heap.instances[inst].min_partial = 0
    heap.instances[inst].cpu_partial = 0
    if heap.instances[inst].slabs:
        for each in range(heap.cpus):
            _flush_cpu(heap, inst, each)
        for node in range(heap.nodes):
            _shrink_node(heap, inst * heap.nodes + node, cpu)


@part
def activate(heap, owner):  # type: ignore[no-untyped-def]
    """The caches of a dead memcg that is taken over get their limits back."""
    for cache in range(heap.caches.size):
        inst = owner * heap.caches.size + cache
        heap.instances[inst].min_partial = heap.caches[cache].min_partial
        heap.instances[inst].cpu_partial = heap.caches[cache].cpu_partial


@part
def _flush_cpu(heap, inst, cpu):  # type: ignore[no-untyped-def]
    """deactivate_slab() on the CPU's slab, then its partial list."""
    objects = heap.caches[inst % heap.caches.size].objects
    c = heap.cpu[inst * heap.cpus + cpu]
    if c.slab != NONE:
        s = c.slab
        slab = heap.slabs[s]
        freed_by_others = slab.inuse < objects
        slab.inuse -= c.free
        slab.frozen = 0
        c.slab = NONE
        c.free = 0
        if slab.inuse == 0 and heap.node[slab.node].nr_partial >= heap.instances[inst].min_partial:
            give_slab(heap, s, cpu)
        elif slab.inuse < objects and freed_by_others:
            add_tail(heap, slab.node, s)
        elif slab.inuse < objects:
            add_head(heap, slab.node, s)
    _unfreeze_partials(heap, inst, cpu)


@part
def _shrink_node(heap, place, cpu):  # type: ignore[no-untyped-def]
    """Free a node's empty slabs and sort the rest: those with 1 free object first, up to SHRINK_PROMOTE_MAX."""
    for free in range(SHRINK_PROMOTE_MAX, -1, -1):
        s = heap.node[place].head
        while s != NONE:
            following = heap.slabs[s].next
            slab = heap.slabs[s]
            if free == 0 and slab.inuse == 0:
                unlink(heap, place, s)
                give_slab(heap, s, cpu)
            elif free and slab.inuse and heap.caches[slab.cache % heap.caches.size].objects - slab.inuse == free:
                unlink(heap, place, s)
                add_head(heap, place, s)
            s = following
