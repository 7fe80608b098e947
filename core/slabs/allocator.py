"""Objects on slabs: replay a scenario's events on the allocator of a kernel, SLUB or SLAB."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from core.bits import cpu_of_hash
from core.blocks import Window, cpu_that_frees
from core.compiled import entry
from core.events import ALLOC, FREE, ONLINE, ROOT, START
from core.slabs import slab, slub
from core.slabs.heap import ALLOCATED, FREED, NONE, OF_MEMCGS, emit, new_heap, slabs_held
from core.slabs.trace import SlabTrace, firsts_of

SHARED, OWN, REUSED = range(3)  # whose slabs: all memcgs', each memcg's own, own with dead memcgs taken over
ARRAYS = 3  # the rule of SLAB, beside SLUB's PARTIAL_OFF, PARTIAL_OBJECTS and PARTIAL_SLABS


def run_slabs(
    window: Window, caches: NDArray[np.void], *, cpus: int, nodes: int, slabs_of: int, rule: int
) -> SlabTrace:
    """Replay a window on caches of the given `CACHE` geometry (`core.slabs.heap`).

    cpus, nodes: online; CPU `c` is on node `c * nodes // cpus`. slabs_of: SHARED (one set of slabs), OWN (each memcg
    has caches of its own, deactivated at offline), REUSED (a new memcg takes over the longest dead one that still has
    slabs). rule: what a CPU keeps (`core.slabs.slub`), or ARRAYS for SLAB, which has one node.
    """
    owners = 1 if slabs_of == SHARED else window.memcgs
    arrays = slab.new_arrays(caches, owners, cpus) if rule == ARRAYS else None
    heap = new_heap(window, caches, owners, cpus=cpus, nodes=slab.LISTS if arrays else nodes, rule=rule)
    identity = np.arange(window.memcgs, dtype=np.int64)
    slab_of, graveyard = np.empty(window.objects, np.int32), np.zeros(identity.size, np.int64)
    _replay(heap, arrays, window, slabs_of, identity, slab_of, graveyard)
    holding = heap.cpu["free"] > 0 if arrays else (heap.cpu["slab"] != NONE) | (heap.cpu["partial"] != NONE)
    return SlabTrace(
        pages=heap.pages[: heap.used[1]].copy(),  # the room for all that might have been goes
        firsts=firsts_of(window),
        page_ends=heap.page_ends,
        objects=heap.objects,
        instances=heap.instances.reshape(owners, caches.size),
        cpus_holding=np.count_nonzero(holding.reshape(owners, caches.size, cpus), axis=2),
        dead=heap.dead,
        identity=identity,
    )


@entry
def _replay(heap, arrays, window, slabs_of, identity, slab_of, graveyard):  # type: ignore[no-untyped-def]
    """Replay on SLAB where there are `arrays`, else on SLUB; Numba leaves the other one out."""
    ncaches = heap.caches.size
    buried, taken_over, none = 0, 0, np.int64(0)
    for at_block in range(window.blocks.size):
        block, counted = window.blocks[at_block], heap.objects[at_block]
        events, memcg, here = window.events[block.drawn], np.int64(block.memcg), cpu_of_hash(block.cpu_hash, heap.cpus)
        for i in range(block.first, block.end):
            event, cpu = events[i], here
            kind = np.int64(event.kind)
            if kind == ALLOC:
                owner = ROOT if slabs_of == SHARED else identity[memcg]
                inst = owner * ncaches + event.detail
                if not heap.instances[inst].created:
                    if event.early:
                        owner, inst = ROOT, np.int64(event.detail)
                    else:
                        heap.instances[inst].created = 1
                c = heap.cpu[inst * heap.cpus + cpu]
                if c.free == 0:
                    if arrays is None:
                        slub.refill(heap, inst, cpu)
                    else:
                        slab.refill(heap, arrays, inst, cpu)
                c.free -= 1
                if arrays is not None:
                    c.slab = arrays.own[inst * heap.cpus + cpu, c.free]
                slab_of[event.object] = c.slab
                counted[ALLOCATED] += 1
                counted[OF_MEMCGS] += (memcg if slabs_of == SHARED else owner) != ROOT
            elif kind == FREE:
                cpu = cpu_that_frees(block, event, here, heap.cpus)
                counted[FREED] += 1
                s = np.int64(slab_of[event.object])
                inst = heap.slabs[s].cache
                c = heap.cpu[inst * heap.cpus + cpu]
                if arrays is not None:
                    slab.free(heap, arrays, inst, cpu, s)
                elif c.slab == s:
                    c.free += 1
                else:
                    slub.free(heap, inst, cpu, s)
            elif slabs_of == SHARED or kind >= START:
                if kind == START:
                    heap.objects[: at_block + 1] = 0
                emit(heap, kind, cpu, memcg, none, none)
            elif kind == ONLINE:
                while slabs_of == REUSED and taken_over < buried and identity[memcg] == memcg:
                    corpse = graveyard[taken_over]
                    taken_over += 1
                    if slabs_held(heap, corpse):
                        identity[memcg] = corpse
                        heap.dead[corpse] = 0
                        slub.activate(heap, corpse)
                emit(heap, kind, cpu, identity[memcg], none, none)
            else:
                owner = identity[memcg]
                emit(heap, kind, cpu, owner, none, none)
                heap.dead[owner] = 1
                for inst in range(owner * ncaches, (owner + 1) * ncaches):
                    if arrays is None:
                        slub.deactivate(heap, inst, cpu)
                    else:
                        slab.deactivate(heap, arrays, inst, cpu)
                graveyard[buried] = owner
                buried += 1
        heap.page_ends[at_block] = heap.used[1]
