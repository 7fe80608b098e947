"""offline_cost(points, counts): what rmdir of one memcg costs each design, as counts and as time.

The memcg removed is a mean one of those online at the end of the charge window. Follows kill_css(),
mem_cgroup_css_offline(), memcg_deactivate_kmem_caches() and __kmem_cache_shrink() of Linux 5.2,
kmemcg_cache_deactivate() of 5.3, memcg_reparent_objcgs() of 5.9; the walk of `page_list` is what it would need.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from core.columns import Column
from core.designs import DESIGNS
from core.keys import seen_by
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
    "offline_work_us": Column("float64", "us", "CPU time of the above, the shrinking worker's included"),
    "offline_wait_ms": Column("float64", "ms", "time spent in grace periods"),
}

# kill_css() waits for one before offline_css(); a deactivated cache is shrunk after another; in 5.3 its percpu_ref is
# killed then, and atomic after a third; percpu_ref_kill() of an obj_cgroup takes one
_KILL_CSS, _DEACTIVATE, _KILL_REF = 1, 1, 1


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
    objcgs = 1 if design.reparents == "objcgs" else 0

    # offline and css_free take cgroup_mutex; walking caches and shrinking each one takes slab_mutex
    mutexes = 2 + (1 + caches if own else 0)
    spins = caches * point.nodes + objcgs
    if design.lists_pages:
        spins += {"memcg": 1, "memcg_node": point.nodes, "kmem_cache": caches}[point.page_list_lock]
    # a drained stock walks the counters and drops its references, which are atomic by now; a rewritten page moves one
    # reference from a css that is dying to its parent
    counters = 1 + (point.cgroup_version == 1 and point.swap_accounting)
    atomics = stocks * ((point.depth + 1) * counters + 1) + walked
    work_ns = (
        (mutexes + spins) * host.lock_ns
        + atomics * host.t_local_ns
        + walked * host.list_node_ns
        + caches / len(point.kernel.caches) * host.shrink_ms_per_memcg * 1e6
    )
    grace_periods = _KILL_CSS + _DEACTIVATE * own + _KILL_REF * (design.cache_ref == "percpu" or objcgs > 0)
    return {
        "offline_caches_walked": len(point.kernel.caches) if own else 0,
        "offline_caches_shrunk": caches,
        "offline_cpu_flushes": memcg["cpu_slabs_per_memcg"] if own else 0.0,
        "offline_pages_walked": walked,
        "offline_objcgs_moved": objcgs,
        "offline_stocks_drained": stocks,
        "offline_grace_periods": grace_periods,
        "offline_lock_acquisitions": mutexes + spins,
        "offline_atomics": atomics,
        "offline_work_us": work_ns / 1e3,
        "offline_wait_ms": grace_periods * host.grace_period_ms,
    }
