"""What the allocators have in common: slabs, the lists they are on, and word of each slab taken and given back.

An instance is a kmem_cache of an owner, `owner * caches + cache`. Lists are links between records: a slab is on a
node's list (`prev`, `next`), on a CPU's partial list (`next` only), or on none.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from core.blocks import Window
from core.compiled import part
from core.events import ALLOC, FREE, record_dtype

ALLOCATED, FREED, OF_MEMCGS = range(3)  # what is counted of objects
NONE = 0  # no slab: a heap without any is all zeros, and costs only what is touched

CACHE = record_dtype(objects="i8", pages="i8", min_partial="i8", cpu_partial="i8")
"""Geometry of a kmem_cache: objects and pages of a slab, empty slabs a node keeps, bound of a CPU's partial list.

Under SLAB, `cpu_partial` is the limit of a CPU's array of free objects and `min_partial` that of the array they share.
"""

PAGE_EVENT = record_dtype(kind="i4", cpu="i4", memcg="i4", cache="i4", pages="i4", dead="i4")
"""A slab of `memcg` taken (ALLOC) or given back (FREE), or the memcg going ONLINE or OFFLINE; or START, or SAMPLE.

`dead`: after offline.
"""

# all of one width, so that Numba compiles each function once
INSTANCE = record_dtype(min_partial="i8", cpu_partial="i8", created="i8", slabs="i8", free_objects="i8", shared="i8")
_SLAB = record_dtype(cache="i8", node="i8", inuse="i8", frozen="i8", prev="i8", next="i8", taken="i8")
_CPU = record_dtype(slab="i8", free="i8", partial="i8")
_NODE = record_dtype(head="i8", tail="i8", nr_partial="i8")


class Heap(NamedTuple):
    """All state of a replay."""

    cpus: int
    nodes: int
    rule: int
    caches: NDArray[np.void]
    instances: NDArray[np.void]
    slabs: NDArray[np.void]
    cpu: NDArray[np.void]  # [instances * cpus]
    node: NDArray[np.void]  # [instances * nodes]
    free_ids: NDArray[np.int64]  # stack of slab records that were given back
    dead: NDArray[np.int64]  # [owners] 1 after offline
    pages: NDArray[np.void]
    used: NDArray[np.int64]  # [3] how many ids are on that stack, page events there are, the next unused slab record
    page_ends: NDArray[np.int64]  # [blocks] page events after each block
    objects: NDArray[np.int64]  # [blocks, 3] ALLOCATED, FREED, OF_MEMCGS since START


def new_heap(window: Window, caches: NDArray[np.void], owners: int, *, cpus: int, nodes: int, rule: int) -> Heap:
    """Return the state before the first event: root caches only, no slabs."""
    instances = np.zeros(owners * caches.size, INSTANCE)
    for limit in ("min_partial", "cpu_partial"):
        instances[limit] = np.tile(caches[limit], owners)
    instances["created"][: caches.size] = 1
    return Heap(
        cpus=cpus,
        nodes=nodes,
        rule=rule,
        caches=caches,
        instances=instances,
        slabs=np.empty(1 + window.size, _SLAB),
        cpu=np.zeros(owners * caches.size * cpus, _CPU),
        node=np.zeros(owners * caches.size * nodes, _NODE),
        free_ids=np.empty(window.size, np.int64),
        dead=np.zeros(owners, np.int64),
        pages=np.empty(2 * window.size, PAGE_EVENT),
        used=np.array([0, 0, 1]),
        page_ends=np.empty(len(window.blocks), np.int64),
        objects=np.zeros((len(window.blocks), 3), np.int64),
    )


@part
def take_slab(heap, inst, cpu):  # type: ignore[no-untyped-def]
    """A new slab for an instance, on the node of `cpu`, all its objects in use."""
    cache = inst % heap.caches.size
    if heap.used[0]:
        heap.used[0] -= 1
        s = heap.free_ids[heap.used[0]]
    else:
        s = heap.used[2]
        heap.used[2] += 1
    slab = heap.slabs[s]
    slab.cache = inst
    slab.node = inst * heap.nodes + cpu * heap.nodes // heap.cpus
    slab.inuse = heap.caches[cache].objects
    slab.frozen = 1
    heap.instances[inst].slabs += 1
    emit(heap, np.int64(ALLOC), cpu, inst // heap.caches.size, cache, heap.caches[cache].pages)
    return s


@part
def give_slab(heap, s, cpu):  # type: ignore[no-untyped-def]
    """An empty slab, on no list, goes back to the page allocator."""
    inst = heap.slabs[s].cache
    cache = inst % heap.caches.size
    heap.instances[inst].slabs -= 1
    heap.free_ids[heap.used[0]] = s
    heap.used[0] += 1
    emit(heap, np.int64(FREE), cpu, inst // heap.caches.size, cache, heap.caches[cache].pages)


@part
def emit(heap, kind, cpu, memcg, cache, pages):  # type: ignore[no-untyped-def]
    """Append a page event. All arguments are int64: Numba compiles a function once more for each literal."""
    event = heap.pages[heap.used[1]]
    event.kind = kind
    event.cpu = cpu
    event.memcg = memcg
    event.cache = cache
    event.pages = pages
    event.dead = heap.dead[memcg] if memcg < heap.dead.size else 0
    heap.used[1] += 1


@part
def add_tail(heap, place, s):  # type: ignore[no-untyped-def]
    """Link a slab to the end of a list."""
    node, slab = heap.node[place], heap.slabs[s]
    node.nr_partial += 1
    slab.prev, slab.next = node.tail, NONE
    if node.tail != NONE:
        heap.slabs[node.tail].next = s
    else:
        node.head = s
    node.tail = s


@part
def add_head(heap, place, s):  # type: ignore[no-untyped-def]
    """Link a slab to the front of a list."""
    node, slab = heap.node[place], heap.slabs[s]
    node.nr_partial += 1
    slab.prev, slab.next = NONE, node.head
    if node.head != NONE:
        heap.slabs[node.head].prev = s
    else:
        node.tail = s
    node.head = s


@part
def unlink(heap, place, s):  # type: ignore[no-untyped-def]
    """Take a slab off a list."""
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


@part
def slabs_held(heap, owner):  # type: ignore[no-untyped-def]
    """Slabs that an owner has, over all its caches."""
    held = 0
    for cache in range(heap.caches.size):
        held += heap.instances[owner * heap.caches.size + cache].slabs
    return held
