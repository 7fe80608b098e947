"""count(points): what the charge path of each design does with one scenario's window, in exact numbers.

Objects go through the allocator (`core.slabs.slub`) or through byte stocks (`core.charge.objcg`), which makes page
events; page events go through the stocks of pages (`core.charge.stock`); what is left is arithmetic: a walk costs one
atomic per level and counter. Nothing is sampled here. Limits are never hit, so no charge fails and nothing is
reclaimed. Scenarios that have the same window, for in theirs no memcg comes or goes, share its counts.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.charge.load import memcgs_online, replay_key
from core.charge.machine import Machine, machine_of, slabs_of
from core.charge.stock import DIRECT_FREE, PageEvents, Tally, run_stock
from core.charge.streams import Stream, page_stream, parent_levels
from core.charge.vmstat import run_vmstat
from core.charge.window import charge_window
from core.columns import Column
from core.designs import DESIGNS, Design
from core.events import ALLOC, FREE, ROOT, first_counted
from core.kept import Keyed, latest, some
from core.keys import seen_by, setting
from core.params import Point
from core.slabs.heap import ALLOCATED, FREED
from core.slabs.trace import SlabTrace

COLUMNS: dict[str, Column] = {
    "objects_allocated": Column("int64", "1", "objects that memcgs allocated in the window"),
    "objects_freed": Column("int64", "1", "of these and earlier, freed in the window"),
    "slabs_allocated": Column("int64", "1", "slabs taken from the page allocator, the root caches' included"),
    "slabs_freed": Column("int64", "1", "slabs given back to the page allocator"),
    "page_charges": Column("int64", "1", "charges of pages: one per slab, or per shortage of bytes"),
    "page_uncharges": Column(
        "int64", "1", "uncharges of pages; in the long run as many as charges, or more where bytes are charged"
    ),
    "pages_charged": Column("int64", "pages", "pages of all page charges"),
    "stock_hits": Column("int64", "1", "page charges served by a CPU's stock"),
    "stock_drains": Column("int64", "1", "stocks drained of pages, for another memcg, when too full or at offline"),
    "stock_offline_drains": Column("int64", "1", "of these, by drain_all_stock() at offline"),
    "charge_walks": Column("int64", "1", "walks up the hierarchy by a charge that missed the stock"),
    "uncharge_walks": Column("int64", "1", "walks up the hierarchy by an uncharge outside the stock"),
    "drain_walks": Column("int64", "1", "walks up the hierarchy by a drained stock"),
    "leaf_counter_atomics": Column("int64", "1", "atomics on the memory counters of the memcgs themselves"),
    "upper_counter_atomics": Column("int64", "1", "atomics on the memory counters of all levels above"),
    "memsw_counter_atomics": Column("int64", "1", "atomics on memory+swap counters (cgroup v1 with swap accounting)"),
    "kmem_counter_atomics": Column("int64", "1", "atomics on kernel memory counters (cgroup v1)"),
    "protection_atomics": Column("int64", "1", "atomics that propagate the usage of memory.min and memory.low"),
    "counter_atomics": Column("int64", "1", "atomics on all page counters: the five columns before this"),
    "uncharge_counter_atomics": Column("int64", "1", "of these, by uncharges; else by charges and drained stocks"),
    "refcount_atomics": Column("int64", "1", "atomics on references: kmem_caches, and what is offline"),
    "byte_atomics": Column("int64", "1", "atomics on nr_charged_bytes of obj_cgroups"),
    "stat_atomics": Column(
        "int64", "1", "atomics that propagate per-CPU statistics before rstat, 5.13; docs/model.md bounds rstat's"
    ),
    "shared_atomics": Column("int64", "1", "counter, refcount, byte and stat atomics"),
    "percpu_ref_ops": Column("int64", "1", "references taken or dropped by a per-CPU add"),
    "percpu_stat_ops": Column("int64", "1", "per-CPU statistics written"),
    "percpu_ops": Column("int64", "1", "per-CPU references and statistics together"),
    "lock_acquisitions": Column("int64", "1", "acquisitions of the lock of a list of charged pages"),
    "atomics_per_page_charge": Column("float64", "1", "shared atomics per page charge, uncharges included"),
    "atomics_per_object": Column("float64", "1", "shared atomics per object allocated, frees included"),
    "caches_per_memcg": Column("float64", "1", "kmem_caches of an online memcg that have slabs, when the window ends"),
    "slabs_per_memcg": Column("float64", "1", "slabs that an online memcg has of its own at the end of the window"),
    "cpu_slabs_per_memcg": Column("float64", "1", "CPUs that hold slabs of an online memcg, summed over its caches"),
    "stocks_per_memcg": Column("float64", "1", "stocks with pages when the window ends, per online memcg"),
    "stocked_bytes_mean": Column("float64", "B", "charged and held in stocks of pages for later, mean over the window"),
    "stocked_bytes_bound": Column("int64", "B", "the most that stocks may hold: slots x batch x page size x CPUs"),
    "cpus_per_memcg": Column("float64", "1", "CPUs that charge or uncharge pages of one memcg, mean over page events"),
}
Counts = NDArray[np.int64]
Lanes = dict[str, Any]  # column -> `[lanes]`, or one number where the batch changes nothing


def count(points: Sequence[Point]) -> dict[str, NDArray[np.generic]]:
    """Count the operations of every point; all points share one scenario.

    Returns the columns of COLUMNS, each `[len(points)]`. Raises AssertionError, naming design, lane and both numbers,
    if pages charged to the counters are not the pages that are in use or stocked.
    """
    settings_of: dict[Hashable, dict[Hashable, list[int]]] = {}
    for i, point in enumerate(points):
        settings_of.setdefault(setting(point, "machine"), {}).setdefault(setting(point, "charge"), []).append(i)

    out = {name: np.zeros(len(points), column.dtype) for name, column in COLUMNS.items()}
    for settings in settings_of.values():
        point = points[next(iter(settings.values()))[0]]
        machine = _machine(point)
        for how, members in settings.items():
            lanes = tuple(setting(points[i], "batch") for i in members)
            for name, values in _counted(Keyed((how, lanes), [points[i] for i in members]), machine).items():
                out[name][members] = values
    return out


def begin(points: Sequence[Point]) -> None:
    """Let go of what was replayed on another machine than the first of these points: something else takes the room."""
    _replayed.keep_only(_machine(points[0]))


def _machine(point: Point) -> Keyed[Point]:
    return Keyed(replay_key(point), seen_by(point, "machine"))


@some(2048)  # some kilobytes each; more than a scenario of a large grid has
def _counted(lanes: Keyed[Sequence[Point]], machine: Keyed[Point]) -> Lanes:
    return count_lanes(lanes.of, _replayed(machine))


@latest()
def _replayed(machine: Keyed[Point]) -> Machine:
    return machine_of(machine.of, charge_window(machine.of))


def count_lanes(points: Sequence[Point], machine: Machine) -> Lanes:
    """Columns of points that differ in their batches only, on a machine; each point is a lane."""
    point, lanes = seen_by(points[0], "charge"), [seen_by(lane, "batch") for lane in points]
    design = DESIGNS[point.design]
    stream = page_stream(point, design, machine)
    batches = np.array([lane.batch if point.stock else 0 for lane in lanes])
    thresholds = np.array([lane.stat_batch or lane.batch for lane in lanes]) * stream.stat_unit
    in_turn = (design.stock_victim or point.kernel.stock_victim) == "in_turn"
    tally = run_stock(stream.pages, batches, cpus=point.cpus, slots=design.stock_slots, in_turn=in_turn)
    _check_books(design, stream, tally, batches)
    flushes = run_vmstat(stream.stats, stream.first_stat, thresholds, cpus=point.cpus)

    pages = stream.pages.where(slice(first_counted(stream.pages.kinds), None))
    charged = pages.kinds == ALLOC
    trace = machine.slabs(slabs_of(design))
    slabs = trace.pages["kind"][first_counted(trace.pages["kind"]) :]
    page_charges = int(np.count_nonzero(charged))
    page_uncharges = stream.own_uncharges + stream.dead_uncharges + stream.parent_uncharges
    charge_walks = page_charges - tally.hits
    objects = trace.counted(ALLOCATED)
    counters = _counters(point, design, stream, pages, page_charges, tally)
    percpu_refs, shared_refs = _reference_ops(stream, tally, charge_walks)
    stat = 2 * (flushes[0] * (point.depth + 1) + flushes[1] * parent_levels(point, design))  # of memcg and lruvec
    shared = counters["counter_atomics"] + shared_refs + stream.byte_atomics + stat
    return {
        "objects_allocated": objects,
        "objects_freed": trace.counted(FREED),
        "slabs_allocated": np.count_nonzero(slabs == ALLOC),
        "slabs_freed": np.count_nonzero(slabs == FREE),
        "page_charges": page_charges,
        "page_uncharges": page_uncharges,
        "pages_charged": pages.pages[charged].sum(),
        "stock_hits": tally.hits,
        "stock_drains": tally.drains,
        "stock_offline_drains": tally.offline_drains,
        "charge_walks": charge_walks,
        "uncharge_walks": np.count_nonzero(pages.kinds == DIRECT_FREE),
        "drain_walks": tally.drains,
        **counters,
        "refcount_atomics": shared_refs,
        "byte_atomics": stream.byte_atomics,
        "stat_atomics": stat,
        "shared_atomics": shared,
        "percpu_ref_ops": percpu_refs,
        "percpu_stat_ops": stream.percpu_stats,
        "percpu_ops": percpu_refs + stream.percpu_stats,
        "lock_acquisitions": stream.lock_acquisitions,
        "atomics_per_page_charge": _per_page(design, page_charges, page_uncharges, counters, shared),
        "atomics_per_object": shared / objects if objects else 0.0,
        **_of_mean_memcg(point, trace, tally),
        "stocked_bytes_mean": tally.stocked_pages_mean * point.kernel.page_bytes,
        "stocked_bytes_bound": design.stock_slots * batches * point.cpus * point.kernel.page_bytes * design.accounts,
        "cpus_per_memcg": _cpus_per_memcg(stream.pages),
    }


def _per_page(
    design: Design, charges: int, uncharges: int, counters: Lanes, shared: Counts
) -> NDArray[np.float64] | float:
    """Atomics of a mean page charge and of the uncharge that follows it, `[lanes]`.

    Where pages are charged, each charge has its uncharge, so the two means add up, however many of either a window
    happens to hold; what is not told apart by charge and uncharge is shared by both. Byte stocks charge and uncharge
    as much, but in other portions: there a window's atomics are divided by its charges.
    """
    if not charges:
        return 0.0
    if design.charges != "pages" or not uncharges:
        per_charge: NDArray[np.float64] = shared / charges
        return per_charge
    by_uncharges, others = counters["uncharge_counter_atomics"], shared - counters["counter_atomics"]
    by_charges = counters["counter_atomics"] - by_uncharges
    both: NDArray[np.float64] = by_charges / charges + by_uncharges / uncharges + 2 * others / (charges + uncharges)
    return both


def _counters(
    point: Point, design: Design, stream: Stream, pages: PageEvents, page_charges: int, tally: Tally
) -> Lanes:
    """Atomics on page counters, each `[lanes]`: a walk is one per level and counter, and one per protected level.

    A walk from a memcg visits its own counter and those above, one from the parent those above. Not all of those can
    be protected: the root has no parent to tell.
    """
    at_once = pages.kinds == DIRECT_FREE
    of_parent = int(np.count_nonzero(at_once & (pages.who == ROOT)))
    own = int(np.count_nonzero(at_once)) - of_parent
    leaf = page_charges - tally.hits + own + tally.drains - tally.parent_drains
    parent = of_parent + tally.parent_drains

    levels, upper = point.depth + 1, parent_levels(point, design)
    v1 = int(point.cgroup_version == 1)
    memsw = int(v1 and point.swap_accounting)
    guarded = 0 if point.kernel.protection_xchg_elided else point.protected_levels
    above = leaf * point.depth + parent * upper
    protection = leaf * guarded + parent * min(guarded, upper - 1)
    kmem_uncharges = v1 * ((stream.own_uncharges + stream.dead_uncharges) * levels + stream.parent_uncharges * upper)
    kmem = v1 * page_charges * levels + kmem_uncharges
    uncharge = own * (levels * (1 + memsw) + guarded) + of_parent * (upper * (1 + memsw) + min(guarded, upper - 1))
    return {
        "leaf_counter_atomics": leaf,
        "upper_counter_atomics": above,
        "memsw_counter_atomics": memsw * (leaf + above),
        "kmem_counter_atomics": kmem,
        "protection_atomics": protection,
        "counter_atomics": (1 + memsw) * (leaf + above) + kmem + protection,
        "uncharge_counter_atomics": uncharge + kmem_uncharges,
    }


def _reference_ops(stream: Stream, tally: Tally, charge_walks: Counts) -> tuple[Counts, Counts]:
    """References taken and dropped, `[lanes]`: by per-CPU adds, and by atomics."""
    if stream.ref_per_slot:
        percpu, shared = 2 * tally.taken + tally.held - tally.left - tally.dead_puts, tally.dead_puts
    else:
        percpu, shared = charge_walks + tally.drains - tally.dead_drains, tally.dead_drains
    return percpu + stream.percpu_refs, shared + stream.shared_refs


def _of_mean_memcg(point: Point, trace: SlabTrace, tally: Tally) -> Lanes:
    """What a mean online memcg has at the end of the window, for `core.charge.offline`."""
    online = memcgs_online(point.workload.charge, point.cpus)
    alive = trace.dead[1:] == 0
    slabs = trace.instances["slabs"][1:][alive]
    return {
        "caches_per_memcg": np.count_nonzero(slabs) / online,
        "slabs_per_memcg": slabs.sum() / online,
        "cpu_slabs_per_memcg": trace.cpus_holding[1:][alive].sum() / online,
        "stocks_per_memcg": tally.holding / online,
    }


def _check_books(design: Design, stream: Stream, tally: Tally, batches: NDArray[np.integer]) -> None:
    """What the counters hold is what is in use and what the stocks hold; nobody holds a negative number of pages."""
    at_once = stream.pages.pages[stream.pages.kinds == DIRECT_FREE].sum()
    counted = tally.balance - at_once
    held = stream.held_pages + tally.stocked_pages
    # lanes count in 32 bits; at 8192 CPUs and a batch of a million pages their sum may have gone around
    for lane in np.flatnonzero(((counted - held) % (1 << 32) != 0) | (tally.stocked_pages < 0)):
        raise AssertionError(
            f"{design.name}, batch {batches[lane]}: {counted[lane]} pages on the counters, "
            f"but {held[lane]} in use or stocked"
        )


def _cpus_per_memcg(events: PageEvents) -> float:
    moved = (events.pages > 0) & (events.who != ROOT)
    if not moved.any():
        return 0.0
    memcgs, cpus = events.who[moved] >> 1, events.cpus[moved]
    width = int(cpus.max()) + 1
    uses = np.zeros((int(memcgs.max()) + 1) * width, np.bool_)
    uses[memcgs.astype(np.int64) * width + cpus] = True
    return float(np.dot(uses.reshape(-1, width).sum(axis=1), np.bincount(memcgs)) / memcgs.size)
