"""offline_cost(points, counts): what the removal of one memcg costs each design, as counts and as time.

Two things go by that name. rmdir(2) marks the cgroup dead, removes its files and returns: cgroup_destroy_locked(). The
rest happens behind its back, after a grace period, in workqueues: mem_cgroup_css_offline(), drain_all_stock(), the
list_lrus, memcg_deactivate_kmem_caches() and __kmem_cache_shrink() of Linux 5.2, kmemcg_cache_deactivate() of 5.3,
memcg_reparent_objcgs() of 5.9; the walk of `page_list` is what it would need. The memcg removed is a mean one of those
online at the end of the charge window.

Counts are facts. Times are counts at `host.*_ns`, of which most are assumptions good for a factor of three: they are
given to one digit, with that band.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from core.columns import Column
from core.designs import DESIGNS
from core.keys import seen_by
from core.lifecycle.weights import LISTS_PER_MOUNT
from core.params import Point

COLUMNS: dict[str, Column] = {
    "offline_caches_walked": Column("int64", "1", "root kmem_caches visited under slab_mutex to find the memcg's own"),
    "offline_caches_shrunk": Column("float64", "1", "kmem_caches of the memcg deactivated, then shrunk by a worker"),
    "offline_cpu_flushes": Column("float64", "1", "CPUs interrupted to give back their slabs, over all caches"),
    "offline_pages_walked": Column("float64", "1", "charged slabs whose owner is rewritten one by one"),
    "offline_objcgs_moved": Column("int64", "1", "obj_cgroups handed to the parent"),
    "offline_stocks_drained": Column("float64", "1", "CPUs whose stock drain_all_stock() empties"),
    "offline_grace_periods": Column("int64", "1", "RCU grace periods one after the other until nothing is left to do"),
    "offline_lock_acquisitions": Column("float64", "1", "global mutexes, and locks of lists of slabs or pages"),
    "offline_atomics": Column("float64", "1", "shared atomics of drained stocks and moved references"),
    "rmdir_kernfs_nodes": Column("int64", "1", "files of the cgroup that rmdir(2) removes before it returns"),
    "offline_cpus_checked": Column("float64", "1", "looks at a CPU's stock, or at its slab of a cache that is shrunk"),
    "offline_works_queued": Column("float64", "1", "works: one for css_offline(), per stock drained, per cache shrunk"),
    "offline_list_lrus": Column("int64", "1", "lists of list_lrus handed to the parent: two per mount and node"),
    "offline_kernfs_nodes": Column("float64", "1", "files of its kmem_caches removed in the background"),
    "offline_percpu_areas": Column("float64", "1", "per-CPU areas freed in the end"),
    "rmdir_caller_us": Column("float64", "us", "CPU time until rmdir(2) returns, to one digit"),
    "rmdir_caller_us_low": Column("float64", "us", "the same at the low end of the band"),
    "rmdir_caller_us_high": Column("float64", "us", "the same at the high end of the band"),
    "offline_background_us": Column("float64", "us", "CPU time of what rmdir(2) does not wait for, to one digit"),
    "offline_background_us_low": Column("float64", "us", "the same at the low end of the band"),
    "offline_background_us_high": Column("float64", "us", "the same at the high end of the band"),
    "offline_work_us": Column("float64", "us", "CPU time of a removal, caller and background together, to one digit"),
    "offline_wait_ms": Column("float64", "ms", "time spent in grace periods"),
}

# kill_css() waits for one before offline_css(); a deactivated cache is shrunk after another; in 5.3 its percpu_ref is
# killed then, and atomic after a third; percpu_ref_kill() of an obj_cgroup takes one
_KILL_CSS, _DEACTIVATE, _KILL_REF = 1, 1, 1
SHRUNK_CACHES = 40  # of a memcg that takes shrink_ms_per_memcg; published hosts had 20 to 60 touched ones
BAND = 3.0  # prices of removal are assumptions: divided and multiplied by this


def offline_cost(points: Sequence[Point], counts: Mapping[str, NDArray[np.generic]]) -> dict[str, NDArray[np.generic]]:
    """Return the columns of COLUMNS, each `[len(points)]`; `counts`: columns of `core.charge.count`."""
    rows = [
        _one(seen_by(point, "price"), {name: float(counts[name][i]) for name in _NEEDS})
        for i, point in enumerate(points)
    ]
    return {name: np.array([row[name] for row in rows], column.dtype) for name, column in COLUMNS.items()}


_NEEDS = ("caches_per_memcg", "slabs_per_memcg", "cpu_slabs_per_memcg", "stocks_per_memcg")


def _one(point: Point, memcg: Mapping[str, float]) -> dict[str, float]:
    design, host = DESIGNS[point.design], point.host
    own = design.per_memcg_caches
    caches = memcg["caches_per_memcg"] if own else 0.0
    walked = memcg["slabs_per_memcg"] if design.reparents == "pages" else 0.0
    stocks = memcg["stocks_per_memcg"] if design.accounts else 0.0
    objcgs = design.objcgs_of_memcg(point.nodes) if design.reparents == "objcgs" else 0

    # the caller and css_offline take cgroup_mutex; walking caches and shrinking each one takes slab_mutex
    mutexes = 1 + (1 + caches if own else 0)
    list_lrus = LISTS_PER_MOUNT * point.workload.mounts * point.nodes
    spins = caches * point.nodes + objcgs + list_lrus
    if design.lists_pages:
        spins += {"memcg": 1, "memcg_node": point.nodes, "kmem_cache": caches}[point.page_list_lock]
    # a drained stock walks the counters and drops its references, which are atomic by now; a rewritten page moves one
    # reference from a css that is dying to its parent
    counters = 1 + (point.cgroup_version == 1 and point.swap_accounting)
    atomics = stocks * ((point.depth + 1) * counters + 1) + walked
    flushes = memcg["cpu_slabs_per_memcg"] if own else 0.0
    checked = point.cpus * (design.accounts + caches)
    works = 1 + stocks + caches
    files = caches * point.kernel.cache_files if point.kernel.memcg_slab_sysfs else 0.0
    areas = point.kernel.stat_copies * (1 + point.nodes) + 2 + caches * (1 + (design.cache_ref == "percpu")) + objcgs
    caller_ns = host.lock_ns + point.kernel.cgroup_files * host.kernfs_node_ns
    background_ns = (
        (mutexes + spins) * host.lock_ns
        + atomics * host.t_local_ns
        + walked * host.list_node_ns
        + caches / SHRUNK_CACHES * host.shrink_ms_per_memcg * 1e6
        + flushes * host.ipi_ns
        + checked * host.cpu_check_ns
        + works * host.work_ns
        + files * host.kernfs_node_ns
        + areas * host.percpu_area_ns
    )
    grace_periods = _KILL_CSS + _DEACTIVATE * own + _KILL_REF * (design.cache_ref == "percpu" or objcgs > 0)
    return {
        "offline_caches_walked": len(point.kernel.caches) if own else 0,
        "offline_caches_shrunk": caches,
        "offline_cpu_flushes": flushes,
        "offline_pages_walked": walked,
        "offline_objcgs_moved": objcgs,
        "offline_stocks_drained": stocks,
        "offline_grace_periods": grace_periods,
        "offline_lock_acquisitions": 1 + mutexes + spins,
        "offline_atomics": atomics,
        "rmdir_kernfs_nodes": point.kernel.cgroup_files,
        "offline_cpus_checked": checked,
        "offline_works_queued": works,
        "offline_list_lrus": list_lrus,
        "offline_kernfs_nodes": files,
        "offline_percpu_areas": areas,
        **_in_us("rmdir_caller_us", caller_ns),
        **_in_us("offline_background_us", background_ns),
        "offline_work_us": _one_digit((caller_ns + background_ns) / 1e3),
        "offline_wait_ms": grace_periods * host.grace_period_ms,
    }


def _in_us(column: str, time_ns: float) -> dict[str, float]:
    us = time_ns / 1e3
    return {
        column: _one_digit(us),
        f"{column}_low": _one_digit(us / BAND),
        f"{column}_high": _one_digit(us * BAND),
    }


def _one_digit(value: float) -> float:
    return float(f"{value:.0e}")
