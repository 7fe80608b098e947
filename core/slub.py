"""SLUB, object by object: which slab each object lands on, and when slabs come from and go to the page allocator.

Follows mm/slub.c: ___slab_alloc(), get_partial_node(), __slab_free(), put_cpu_partial(), unfreeze_partials(),
deactivate_slab(), __kmem_cache_shrink(), as in Linux 5.2 to 6.15. Concurrency is left out: events happen one after
the other, so no cmpxchg is ever retried. A deactivated cache is shrunk at once, not after an RCU grace period.

Lists are links between records: a slab is on a node's partial list (`prev`, `next`), on a CPU's partial list (`next`
only), the slab of a CPU, or full and on none.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from core.events import ALLOC, FREE, ONLINE, ROOT, record

NONE = -1
SHARED, OWN, REUSED = range(3)  # whose slabs: all memcgs', each memcg's own, own with dead memcgs taken over
PARTIAL_OFF, PARTIAL_OBJECTS, PARTIAL_SLABS = range(3)  # what bounds a CPU's partial list: SlabGeometry

SHRINK_PROMOTE_MAX = 32  # mm/slub.c: slabs with fewer free objects are sorted to the front when a cache is shrunk

CACHE = record(objects="i4", pages="i4", min_partial="i4", cpu_partial="i4")
"""Geometry of a kmem_cache: objects and pages of a slab, empty slabs a node keeps, bound of a CPU's partial list."""

PAGE_EVENT = record(kind="i4", cpu="i4", memcg="i4", cache="i4", pages="i4", dead="i4")
"""A slab of `memcg` taken (ALLOC) or given back (FREE), or the memcg going ONLINE or OFFLINE; `dead`: after offline."""

INSTANCE = record(min_partial="i4", cpu_partial="i4", created="i4", slabs="i4", objects="i4")
_SLAB = record(cache="i4", node="i4", inuse="i4", frozen="i4", prev="i4", next="i4", taken="i4")
_CPU = record(slab="i4", free="i4", partial="i4")
_NODE = record(head="i4", tail="i4", nr_partial="i4")


@dataclass(frozen=True)
class SlabTrace:
    """What a run of events did to the slabs.

    pages: `PAGE_EVENT` records in order. instances: `[memcgs, caches]` records of `INSTANCE`, row 0 the root caches:
    limits, slabs held and objects in use at the end. cpus_holding: `[memcgs, caches]` CPUs with a slab of their own or
    a partial list at the end. dead: `[memcgs]` 1 after offline. memcg: `[objects]` whose slab each object was on, ROOT
    if nobody is charged. identity: `[memcgs]` the memcg that each one is, itself unless it took over a dead one.
    """

    pages: NDArray[np.void]
    instances: NDArray[np.void]
    cpus_holding: NDArray[np.intp]
    dead: NDArray[np.int32]
    memcg: NDArray[np.int32]
    identity: NDArray[np.int32]


def run_slub(
    events: NDArray[np.void], caches: NDArray[np.void], *, cpus: int, nodes: int, slabs_of: int, partial_rule: int
) -> SlabTrace:
    """Replay `EVENT` records (`core.events`) on caches of the given `CACHE` geometry.

    cpus, nodes: online; CPU `c` is on node `c * nodes // cpus`. slabs_of: SHARED (one set of slabs), OWN (each memcg
    has caches of its own, deactivated at offline), REUSED (a new memcg takes over the longest dead one that still has
    slabs). partial_rule: PARTIAL_OFF, PARTIAL_OBJECTS or PARTIAL_SLABS.
    """
    allocations = int(np.count_nonzero(events["kind"] == ALLOC))
    memcgs = int(events["memcg"].max(initial=ROOT)) + 1
    owners = 1 if slabs_of == SHARED else memcgs
    instances = np.zeros(owners * caches.size, INSTANCE)
    for limit in ("min_partial", "cpu_partial"):
        instances[limit] = np.tile(caches[limit], owners)
    instances["created"][: caches.size] = 1
    heap = _Heap(
        cpus=cpus,
        nodes=nodes,
        rule=partial_rule,
        caches=caches,
        instances=instances,
        slabs=np.empty(allocations, _SLAB),
        cpu=np.array([(NONE, 0, NONE)], _CPU).repeat(owners * caches.size * cpus),
        node=np.array([(NONE, NONE, 0)], _NODE).repeat(owners * caches.size * nodes),
        free_ids=np.arange(allocations - 1, -1, -1, dtype=np.int32),
        dead=np.zeros(owners, np.int32),
        pages=np.empty(2 * allocations + 2 * memcgs, PAGE_EVENT),
        count=np.array([allocations, 0], np.int64),
    )
    memcg = np.full(events["object"].max(initial=NONE) + 1, NONE, np.int32)
    identity = np.arange(memcgs, dtype=np.int32)
    _replay(heap, events, slabs_of, memcg, identity)
    holding = (heap.cpu["slab"] != NONE) | (heap.cpu["partial"] != NONE)
    return SlabTrace(
        pages=heap.pages[: heap.count[1]],
        instances=instances.reshape(owners, caches.size),
        cpus_holding=np.count_nonzero(holding.reshape(owners, caches.size, cpus), axis=2),
        dead=heap.dead,
        memcg=memcg,
        identity=identity,
    )


class _Heap(NamedTuple):
    """All state. An instance is a cache of an owner: `owner * caches + cache`; CPU and node records follow it."""

    cpus: int
    nodes: int
    rule: int
    caches: NDArray[np.void]
    instances: NDArray[np.void]
    slabs: NDArray[np.void]
    cpu: NDArray[np.void]  # [instances * cpus]
    node: NDArray[np.void]  # [instances * nodes]
    free_ids: NDArray[np.int32]  # stack of unused slab records
    dead: NDArray[np.int32]  # [owners] 1 after offline
    pages: NDArray[np.void]
    count: NDArray[np.int64]  # unused slab records, page events


@njit(cache=True)
def _replay(heap, events, slabs_of, memcg_of, identity):
    ncaches = heap.caches.size
    slab_of = np.full(memcg_of.size, NONE, np.int32)
    graveyard = np.zeros(identity.size, np.int32)
    buried, taken_over = 0, 0
    for i in range(events.size):
        event = events[i]
        cpu = np.int64((np.uint64(event.cpu_hash) * np.uint64(heap.cpus)) >> np.uint64(32))
        if event.kind == ALLOC:
            owner = ROOT if slabs_of == SHARED else identity[event.memcg]
            inst = owner * ncaches + event.cache
            if not heap.instances[inst].created:
                if event.early:
                    owner, inst = ROOT, np.int64(event.cache)
                else:
                    heap.instances[inst].created = 1
            c = heap.cpu[inst * heap.cpus + cpu]
            if c.free == 0:
                _refill(heap, inst, cpu)
            c.free -= 1
            slab_of[event.object] = c.slab
            heap.instances[inst].objects += 1
            memcg_of[event.object] = event.memcg if slabs_of == SHARED else owner
        elif event.kind == FREE:
            s = slab_of[event.object]
            inst = heap.slabs[s].cache
            c = heap.cpu[inst * heap.cpus + cpu]
            if c.slab == s:
                c.free += 1
            else:
                _slab_free(heap, s, cpu)
            heap.instances[inst].objects -= 1
        elif slabs_of == SHARED:
            _emit(heap, event.kind, cpu, event.memcg, 0, 0)
        elif event.kind == ONLINE:
            if slabs_of == REUSED:
                while taken_over < buried:
                    corpse = graveyard[taken_over]
                    taken_over += 1
                    if _slabs_held(heap, corpse):
                        identity[event.memcg] = corpse
                        _activate(heap, corpse)
                        break
            _emit(heap, ONLINE, cpu, identity[event.memcg], 0, 0)
        else:
            owner = identity[event.memcg]
            _emit(heap, event.kind, cpu, owner, 0, 0)
            heap.dead[owner] = 1
            _deactivate(heap, owner, cpu)
            graveyard[buried] = owner
            buried += 1


@njit(cache=True)
def _refill(heap, inst, cpu):
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
            c.slab = _new_slab(heap, inst, cpu)
            c.free = objects


@njit(cache=True)
def _get_partial(heap, inst, cpu):
    """get_partial(): from the CPU's own node, else from another node that has more partial slabs than it may keep."""
    here = cpu * heap.nodes // heap.cpus
    for away in range(heap.nodes):
        place = inst * heap.nodes + (here + away) % heap.nodes
        nr_partial = heap.node[place].nr_partial
        if nr_partial and (away == 0 or nr_partial > heap.instances[inst].min_partial):
            _get_partial_node(heap, inst, cpu, place)
            return True
    return False


@njit(cache=True)
def _get_partial_node(heap, inst, cpu, place):
    """The first slab for the CPU, then more for its partial list until half of its bound is there."""
    objects = heap.caches[inst % heap.caches.size].objects
    limit = heap.instances[inst].cpu_partial
    c = heap.cpu[inst * heap.cpus + cpu]
    available = 0
    while heap.node[place].head != NONE:
        s = heap.node[place].head
        _unlink(heap, place, s)
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
            _put_cpu_partial(heap, inst, cpu, s, False)
        if heap.rule == PARTIAL_OFF or available > limit // 2:
            break


@njit(cache=True)
def _new_slab(heap, inst, cpu):
    cache = inst % heap.caches.size
    heap.count[0] -= 1
    s = heap.free_ids[heap.count[0]]
    slab = heap.slabs[s]
    slab.cache = inst
    slab.node = inst * heap.nodes + cpu * heap.nodes // heap.cpus
    slab.inuse = heap.caches[cache].objects
    slab.frozen = 1
    heap.instances[inst].slabs += 1
    _emit(heap, ALLOC, cpu, inst // heap.caches.size, cache, heap.caches[cache].pages)
    return s


@njit(cache=True)
def _discard_slab(heap, s, cpu):
    inst = heap.slabs[s].cache
    cache = inst % heap.caches.size
    heap.instances[inst].slabs -= 1
    heap.free_ids[heap.count[0]] = s
    heap.count[0] += 1
    _emit(heap, FREE, cpu, inst // heap.caches.size, cache, heap.caches[cache].pages)


@njit(cache=True)
def _emit(heap, kind, cpu, memcg, cache, pages):
    event = heap.pages[heap.count[1]]
    event.kind = kind
    event.cpu = cpu
    event.memcg = memcg
    event.cache = cache
    event.pages = pages
    event.dead = heap.dead[memcg] if memcg < heap.dead.size else 0
    heap.count[1] += 1


@njit(cache=True)
def _slab_free(heap, s, cpu):
    """__slab_free(): an object that is not from the CPU's own slab goes back to its slab."""
    slab = heap.slabs[s]
    inst = slab.cache
    was_full = slab.inuse == heap.caches[inst % heap.caches.size].objects
    slab.inuse -= 1
    if slab.frozen or not (was_full or slab.inuse == 0):
        return
    if was_full and heap.rule != PARTIAL_OFF:
        slab.frozen = 1
        _put_cpu_partial(heap, inst, cpu, s, True)
    elif slab.inuse == 0 and heap.node[slab.node].nr_partial >= heap.instances[inst].min_partial:
        if not was_full:
            _unlink(heap, slab.node, s)
        _discard_slab(heap, s, cpu)
    elif was_full:
        _add_partial(heap, slab.node, s, True)


@njit(cache=True)
def _put_cpu_partial(heap, inst, cpu, s, drain):
    """Push a frozen slab on the CPU's partial list; if `drain` and the list is over its bound, empty it first."""
    c = heap.cpu[inst * heap.cpus + cpu]
    limit = heap.instances[inst].cpu_partial
    if drain and c.partial != NONE:
        taken = heap.slabs[c.partial].taken
        if taken > limit or (heap.rule == PARTIAL_SLABS and taken == limit):
            _unfreeze_partials(heap, inst, cpu)
    slab = heap.slabs[s]
    free = heap.caches[inst % heap.caches.size].objects - slab.inuse
    below = heap.slabs[c.partial].taken if c.partial != NONE else 0
    slab.taken = below + (1 if heap.rule == PARTIAL_SLABS else free)
    slab.next = c.partial
    c.partial = s
    if limit == 0:
        _unfreeze_partials(heap, inst, cpu)


@njit(cache=True)
def _unfreeze_partials(heap, inst, cpu):
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
            _add_partial(heap, slab.node, s, True)
    while doomed != NONE:
        following = heap.slabs[doomed].next
        _discard_slab(heap, doomed, cpu)
        doomed = following


@njit(cache=True)
def _add_partial(heap, place, s, to_tail):
    node = heap.node[place]
    slab = heap.slabs[s]
    node.nr_partial += 1
    slab.prev = node.tail if to_tail else NONE
    slab.next = NONE if to_tail else node.head
    if slab.prev != NONE:
        heap.slabs[slab.prev].next = s
    else:
        node.head = s
    if slab.next != NONE:
        heap.slabs[slab.next].prev = s
    else:
        node.tail = s


@njit(cache=True)
def _unlink(heap, place, s):
    node = heap.node[place]
    slab = heap.slabs[s]
    node.nr_partial -= 1
    if slab.prev != NONE:
        heap.slabs[slab.prev].next = slab.next
    else:
        node.head = slab.next
    if slab.next != NONE:
        heap.slabs[slab.next].prev = slab.prev
    else:
        node.tail = slab.prev


@njit(cache=True)
def _deactivate(heap, owner, cpu):
    """__kmemcg_cache_deactivate(), then __kmem_cache_shrink() by a worker on `cpu`, for every cache of a memcg."""
    for cache in range(heap.caches.size):
        inst = owner * heap.caches.size + cache
        heap.instances[inst].min_partial = 0
        heap.instances[inst].cpu_partial = 0
        if heap.instances[inst].slabs:
            for each in range(heap.cpus):
                _flush_cpu(heap, inst, each)
            for node in range(heap.nodes):
                _shrink_node(heap, inst * heap.nodes + node, cpu)


@njit(cache=True)
def _activate(heap, owner):
    """A dead memcg taken over: its caches get their limits back."""
    heap.dead[owner] = 0
    for cache in range(heap.caches.size):
        inst = owner * heap.caches.size + cache
        heap.instances[inst].min_partial = heap.caches[cache].min_partial
        heap.instances[inst].cpu_partial = heap.caches[cache].cpu_partial


@njit(cache=True)
def _slabs_held(heap, owner):
    held = 0
    for cache in range(heap.caches.size):
        held += heap.instances[owner * heap.caches.size + cache].slabs
    return held


@njit(cache=True)
def _flush_cpu(heap, inst, cpu):
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
            _discard_slab(heap, s, cpu)
        elif slab.inuse < objects:
            _add_partial(heap, slab.node, s, freed_by_others)
    _unfreeze_partials(heap, inst, cpu)


@njit(cache=True)
def _shrink_node(heap, place, cpu):
    """Free a node's empty slabs and sort the rest: those with 1 free object first, up to SHRINK_PROMOTE_MAX."""
    for free in range(SHRINK_PROMOTE_MAX, -1, -1):
        s = heap.node[place].head
        while s != NONE:
            following = heap.slabs[s].next
            slab = heap.slabs[s]
            if free == 0 and slab.inuse == 0:
                _unlink(heap, place, s)
                _discard_slab(heap, s, cpu)
            elif free and slab.inuse and heap.caches[slab.cache % heap.caches.size].objects - slab.inuse == free:
                _unlink(heap, place, s)
                _add_partial(heap, place, s, False)
            s = following
