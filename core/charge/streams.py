"""From objects to page events: what a design asks of the memcgs' page stocks, and all it does that no batch changes.

All counts are of what follows START (`core.charge.window`), where events have one. There the machine is near its steady
state: about as many pages are uncharged as charged (docs/model.md says how nearly).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from core.charge.machine import Machine, slabs_of
from core.charge.stock import DIRECT_FREE, PageEvents, columns_of
from core.charge.vmstat import STAT_EVENT
from core.designs import Design, ObjcgVersion
from core.events import ALLOC, FREE, ROOT, START, first_counted
from core.params import Point
from core.slabs.allocator import SHARED
from core.slabs.heap import ALLOCATED, OF_MEMCGS
from core.slabs.trace import SlabTrace

# per-CPU statistics written per slab page charge or uncharge: of the node; of memcg and lruvec, local and propagated
# (mod_lruvec_state(), Linux 5.2 to 5.12)
SLAB_STATS = 5
# the same per object: mod_objcg_state(), Linux 5.9; with rstat, of memcg and lruvec
OBJECT_STATS, RSTAT_STATS = 4, 2


@dataclass(frozen=True, kw_only=True)
class Stream:
    """Page events of one design, and what it does beside the counters, whatever the batch.

    pages: page events for the stocks; what goes to the counters at once is DIRECT_FREE, uncharges of
    reparented pages have ROOT for their memcg. stats: `STAT_EVENT` records, in units of `1 / stat_unit` pages.
    uncharges: of memcgs online (`own`), of pages that their parent took over (`parent`), of dying memcgs (`dead`).
    held_pages: on the counters at the end: of slabs, of objects, left in byte stocks, or taken over by the root.
    stats are counted from `first_stat` on. percpu_refs, shared_refs: references beside those of the stocks, which are
    one per slot (`ref_per_slot`) or one per page.
    """

    pages: PageEvents
    stats: NDArray[np.void]
    first_stat: int
    stat_unit: int
    own_uncharges: int
    parent_uncharges: int
    dead_uncharges: int
    held_pages: int
    percpu_refs: int
    shared_refs: int
    byte_atomics: int
    percpu_stats: int
    lock_acquisitions: int
    ref_per_slot: bool


def parent_levels(point: Point, design: Design) -> int:
    """Return the counters that an uncharge of a reparented page walks; 0 where the root is left alone.

    memcg_uncharge_slab() (5.3) and obj_cgroup_uncharge_pages() (6.16) skip the root memcg; 5.9 to 6.15 do not.
    """
    skips_root = version(point, design).skips_root if design.charges == "bytes" else True
    return 0 if point.depth == 1 and skips_root else point.depth


def version(point: Point, design: Design) -> ObjcgVersion:
    """Return what the obj_cgroup code of a point does, with the point's choice of where uncharges go."""
    assert design.objcg_version is not None
    chosen = design.objcg_version(point.objcg_as_of)
    if not point.stock:
        return chosen._replace(drain_to_stock=False, refill_to_stock=False)
    if point.uncharge_batched == chosen.refill_to_stock:
        return chosen
    return chosen._replace(drain_to_stock=point.uncharge_batched, refill_to_stock=point.uncharge_batched)


def page_stream(point: Point, design: Design, machine: Machine) -> Stream:
    """Return the page events of a design on a machine."""
    if design.charges == "nothing":
        return _nothing(machine)
    return (_by_slabs if design.charges == "pages" else _by_bytes)(point, design, machine)


def _nothing(machine: Machine) -> Stream:
    pages = machine.slabs(SHARED).pages
    return Stream(
        pages=columns_of(pages[pages["kind"] >= START]),
        stats=np.empty(0, STAT_EVENT),
        first_stat=0,
        stat_unit=1,
        own_uncharges=0,
        parent_uncharges=0,
        dead_uncharges=0,
        held_pages=0,
        percpu_refs=0,
        shared_refs=0,
        byte_atomics=0,
        percpu_stats=0,
        lock_acquisitions=0,
        ref_per_slot=False,
    )


def _by_slabs(point: Point, design: Design, machine: Machine) -> Stream:
    """Each slab is charged when it is allocated and uncharged when it is freed: memcg_charge_slab()."""
    trace = machine.slabs(slabs_of(design))
    pages = trace.pages[(trace.pages["memcg"] != ROOT) | (trace.pages["kind"] >= START)]
    charged, freed = pages["kind"] == ALLOC, pages["kind"] == FREE
    after_offline = freed & (pages["dead"] == 1)
    counted = np.arange(pages.size) >= first_counted(pages["kind"])
    charges, uncharges, late = (int(np.count_nonzero(which & counted)) for which in (charged, freed, after_offline))
    held_pages = int((trace.instances["slabs"][1:] * machine.slab_pages).sum())

    reparented = design.reparents != "nothing"
    if reparented:
        pages["memcg"][after_offline] = ROOT
        pages["dead"][after_offline] = 0
    moved = charged | freed
    forgets = reparented and parent_levels(point, design) == 0
    forgotten = late if forgets else 0
    if forgets:
        held_pages += int(pages["pages"][after_offline].sum())
        pages, freed, moved, counted = (each[~after_offline] for each in (pages, freed, moved, counted))
    moves = pages[moved]
    stats = np.empty(moves.size, STAT_EVENT)
    stats["cpu"], stats["memcg"] = moves["cpu"], moves["memcg"]
    stats["item"] = machine.reclaimable[moves["cache"]]
    stats["delta"] = np.where(moves["kind"] == ALLOC, moves["pages"], -moves["pages"])
    batched = point.stock and bool(point.uncharge_batched)
    if not batched:
        pages["kind"][freed] = DIRECT_FREE

    percpu, shared = _references(design, trace, charges, uncharges - late, late, forgotten, batched)
    return Stream(
        pages=columns_of(pages),
        stats=stats,
        first_stat=int(np.count_nonzero(moved & ~counted)),
        stat_unit=1,
        own_uncharges=uncharges - late,
        parent_uncharges=late if reparented else 0,
        dead_uncharges=0 if reparented else late,
        held_pages=held_pages,
        percpu_refs=percpu,
        shared_refs=shared,
        byte_atomics=0,
        percpu_stats=SLAB_STATS * (charges + uncharges) - (SLAB_STATS - 1) * forgotten,
        lock_acquisitions=charges + uncharges if design.lists_pages else 0,
        ref_per_slot=False,
    )


def _references(
    design: Design,
    trace: SlabTrace,
    charges: int,
    own: int,
    late: int,
    forgotten: int,
    batched: bool,
) -> tuple[int, int]:
    """References taken and dropped beside those of the stock: by per-CPU adds, and by atomics.

    An allocation holds the memcg, or in 5.3 the kmem_cache, from memcg_kmem_get_cache() to memcg_kmem_put_cache(); in
    5.3 an object of a root cache takes none. With `page_ref` a page owns a css reference, which an uncharge drops or,
    when batched, hands to the stock. With `cache_ref` the charge's css reference is given back for one on the cache,
    and an uncharge to the stock has to take one again. `forgotten` are the late uncharges that the root never sees.
    """
    holders = trace.counted(OF_MEMCGS if design.cache_ref == "percpu" else ALLOCATED)
    percpu, shared = 2 * holders, 0
    if design.page_ref:
        percpu += 0 if batched else own
        if design.reparents == "pages":  # the parent, who is online, is referred to by now
            percpu += forgotten if batched else late
        else:
            shared += 0 if batched else late
    if design.cache_ref != "none":
        percpu += charges + (own + late - forgotten if batched else 0)
    if design.cache_ref == "atomic":
        shared += charges + own + late
    if design.cache_ref == "percpu":  # memcg_charge_slab() also tries the css and puts it
        percpu += 3 * charges + own
        shared += late
    return percpu, shared


def _by_bytes(point: Point, design: Design, machine: Machine) -> Stream:
    """Objects are charged by bytes, and whole pages by the shortage of bytes: obj_cgroup_charge()."""
    rules = version(point, design)
    trace = machine.bytes(rules)
    pages = trace.pages
    uncharged = (pages.kinds == FREE) | (pages.kinds == DIRECT_FREE)
    late = uncharged & (pages.who == ROOT)
    first = first_counted(pages.kinds)
    parent_uncharges = int(np.count_nonzero(late[first:]))
    own_uncharges = int(np.count_nonzero(uncharged[first:])) - parent_uncharges
    page_bytes = point.kernel.page_bytes
    held_pages = (trace.live_bytes + trace.stocked_bytes + trace.left_bytes) // page_bytes
    if parent_levels(point, design) == 0:
        held_pages += int(pages.pages[late].sum())
        pages = pages.where(~late)
    return Stream(
        pages=pages,
        stats=trace.stats,
        first_stat=trace.first_stat,
        stat_unit=page_bytes,
        own_uncharges=own_uncharges,
        parent_uncharges=parent_uncharges,
        dead_uncharges=0,
        held_pages=held_pages,
        percpu_refs=trace.percpu_refs,
        shared_refs=trace.dead_refs,
        byte_atomics=trace.byte_atomics,
        percpu_stats=trace.stat_updates * (RSTAT_STATS if rules.rstat else OBJECT_STATS),
        lock_acquisitions=0,
        ref_per_slot=True,
    )
