"""SLAB: per-CPU arrays of free objects, an array that CPUs share, and slabs behind them.

Follows mm/slab.c of Linux 5.2: cache_alloc_refill(), cache_flusharray(), free_block(), __kmem_cache_shrink(), with
CONFIG_NUMA off or one node, so without alien caches. Left out: cache_reap(), which drains idle arrays every 2 s, longer
than a charge window; until then what is freed after offline stays in the array of the CPU that freed it.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from core.compiled import part
from core.slabs.heap import NONE, add_head, add_tail, give_slab, take_slab, unlink

LISTS = 2  # slabs_partial and slabs_free of an instance; a full slab is on neither
OFF_LISTS = -1
BATCHREFILL_LIMIT = 16  # first refill of an array that was never allocated from


class Arrays(NamedTuple):
    """Slabs of free objects."""

    own: NDArray[np.int64]  # [instances * cpus, limit] of a CPU's array
    shared: NDArray[np.int64]  # [instances, limit] of the array that CPUs share


def new_arrays(caches: NDArray[np.void], owners: int, cpus: int) -> Arrays:
    """Return arrays for caches of `CACHE` geometry (`core.slabs.heap`), empty."""
    instances = owners * caches.size
    return Arrays(
        own=np.empty((instances * cpus, caches["cpu_partial"].max()), np.int64),
        shared=np.empty((instances, caches["min_partial"].max()), np.int64),
    )


def array_limits(object_bytes: int, page_bytes: int, possible_cpus: int) -> tuple[int, int]:
    """Return the limits of a CPU's array and of the shared one: enable_cpucache()."""
    steps = ((131072, 1), (page_bytes, 8), (1024, 24), (256, 54))
    limit = next((limit for size, limit in steps if object_bytes > size), 120)
    shares = 8 if object_bytes <= page_bytes and possible_cpus > 1 else 0
    return limit, shares * _batchcount(limit)


def first_refill(limit: int) -> int:
    """Return how many objects a CPU's array of that limit takes at first: cache_alloc_refill()."""
    return min(BATCHREFILL_LIMIT, int(_batchcount(limit)))


@part
def _batchcount(limit):  # type: ignore[no-untyped-def]
    return (limit + 1) // 2


@part
def refill(heap, arrays, inst, cpu):  # type: ignore[no-untyped-def]
    """cache_alloc_refill(): from the shared array, else from slabs with free objects, else from a new slab."""
    geometry = heap.caches[inst % heap.caches.size]
    c, i = heap.cpu[inst * heap.cpus + cpu], heap.instances[inst]
    array = arrays.own[inst * heap.cpus + cpu]
    batchcount = _batchcount(geometry.cpu_partial)
    if c.slab == NONE:  # `touched` is not set yet
        batchcount = min(batchcount, BATCHREFILL_LIMIT)
    partial = inst * LISTS
    if i.free_objects or i.shared:
        if i.shared:
            c.free = min(i.shared, batchcount)
            i.shared -= c.free
            for at in range(c.free):
                array[at] = arrays.shared[inst, i.shared + at]
        else:
            while c.free < batchcount:
                place = partial if heap.node[partial].head != NONE else partial + 1
                s = heap.node[place].head
                if s == NONE:
                    break
                unlink(heap, place, s)
                _alloc_block(heap, geometry.objects, c, array, s, batchcount)
                _to_partial_or_full(heap, geometry.objects, partial, s)
            i.free_objects -= c.free
    if c.free == 0:
        s = take_slab(heap, inst, cpu)
        heap.slabs[s].inuse = 0
        _alloc_block(heap, geometry.objects, c, array, s, batchcount)
        _to_partial_or_full(heap, geometry.objects, partial, s)
        i.free_objects += geometry.objects - heap.slabs[s].inuse


@part
def _alloc_block(heap, objects, c, array, s, batchcount):  # type: ignore[no-untyped-def]
    while heap.slabs[s].inuse < objects and c.free < batchcount:
        heap.slabs[s].inuse += 1
        array[c.free] = s
        c.free += 1


@part
def _to_partial_or_full(heap, objects, partial, s):  # type: ignore[no-untyped-def]
    """fixup_slab_list()"""
    heap.slabs[s].node = OFF_LISTS
    if heap.slabs[s].inuse < objects:
        heap.slabs[s].node = partial
        add_head(heap, partial, s)


@part
def free(heap, arrays, inst, cpu, s):  # type: ignore[no-untyped-def]
    """___cache_free(): into the CPU's array, of which a full one first gives its oldest objects away."""
    geometry = heap.caches[inst % heap.caches.size]
    c, i = heap.cpu[inst * heap.cpus + cpu], heap.instances[inst]
    array = arrays.own[inst * heap.cpus + cpu]
    if c.free == geometry.cpu_partial:
        count = _batchcount(geometry.cpu_partial)
        room = geometry.min_partial - i.shared
        if room:
            count = min(count, room)
            for at in range(count):
                arrays.shared[inst, i.shared + at] = array[at]
            i.shared += count
        else:
            _free_block(heap, inst, cpu, array, count)
        c.free -= count
        for at in range(c.free):
            array[at] = array[at + count]
    array[c.free] = s
    c.free += 1


@part
def _free_block(heap, inst, cpu, array, count):  # type: ignore[no-untyped-def]
    """free_block(): the first `count` objects of an array go to their slabs; empty slabs beyond a limit are freed."""
    geometry = heap.caches[inst % heap.caches.size]
    i, partial, empty = heap.instances[inst], inst * LISTS, inst * LISTS + 1
    i.free_objects += count
    for at in range(count):
        slab = heap.slabs[array[at]]
        if slab.node != OFF_LISTS:
            unlink(heap, slab.node, array[at])
        slab.inuse -= 1
        slab.node = partial if slab.inuse else empty
        if slab.inuse:
            add_tail(heap, partial, array[at])
        else:
            add_head(heap, empty, array[at])
    free_limit = (1 + heap.cpus) * _batchcount(geometry.cpu_partial) + geometry.objects
    while i.free_objects > free_limit and heap.node[empty].tail != NONE:
        _destroy(heap, inst, cpu)


@part
def _destroy(heap, inst, cpu):  # type: ignore[no-untyped-def]
    empty = inst * LISTS + 1
    s = heap.node[empty].tail
    unlink(heap, empty, s)
    heap.instances[inst].free_objects -= heap.caches[inst % heap.caches.size].objects
    give_slab(heap, s, cpu)


@part
def deactivate(heap, arrays, inst, cpu):  # type: ignore[no-untyped-def]
    """__kmem_cache_shrink() by a worker on `cpu`: every array is emptied and every empty slab freed."""
    i = heap.instances[inst]
    if i.slabs:
        for each in range(heap.cpus):
            c = heap.cpu[inst * heap.cpus + each]
            _free_block(heap, inst, each, arrays.own[inst * heap.cpus + each], c.free)
            c.free = 0
        _free_block(heap, inst, cpu, arrays.shared[inst], i.shared)
        i.shared = 0
        while heap.node[inst * LISTS + 1].tail != NONE:
            _destroy(heap, inst, cpu)
