"""Statistics of slab memory per memcg, up to Linux 5.12: per-CPU drift, propagated by atomics when it grows too big."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from core.compiled import entry
from core.events import ROOT, record_dtype

UNSEEN = -1
STAT_EVENT = record_dtype(cpu="i4", memcg="i4", item="i4", delta="i4")
"""A statistic of `memcg` (ROOT: the parent of all) changes by `delta` pages or bytes on a CPU; `item` is 0 or 1."""


def run_vmstat(events: NDArray[np.void], first: int, thresholds: NDArray[np.int64], *, cpus: int) -> NDArray[np.int64]:
    """Count how often a CPU's drift exceeds each threshold and is added to the memcg and its ancestors.

    events: `STAT_EVENT` records, counted from `first` on; thresholds: `[lanes]` in the unit of `delta`. Returns
    `[2, lanes]`: flushes of a memcg, flushes of the parent. Follows __mod_memcg_state() and __mod_lruvec_state()
    (mm/memcontrol.c, Linux 5.2): the memcg's and the node's statistic drift alike on one node, so each flush here is
    one of either. With more nodes the nodes' drifts are smaller than counted here.
    """
    memcgs = int(events["memcg"].max(initial=ROOT)) + 1
    flushes, row_of = np.zeros((2, thresholds.size), np.int64), np.full(cpus * memcgs * 2, UNSEEN, np.int32)
    drift = np.zeros((min(row_of.size, events.size), thresholds.size), np.int64)
    _drift(events, first, memcgs, row_of, drift, thresholds, flushes)
    return flushes


@entry
def _drift(events, first, memcgs, row_of, drift, thresholds, flushes):  # type: ignore[no-untyped-def]
    """`drift` has a row for each statistic that a CPU ever changed; the working memory is NumPy's, untouched so far."""
    rows = 0
    for i in range(events.size):
        event = events[i]
        key = (np.int64(event.cpu) * memcgs + event.memcg) * 2 + event.item
        if row_of[key] == UNSEEN:
            row_of[key] = rows
            rows += 1
        row = drift[row_of[key]]
        of_parent = np.int64(event.memcg == ROOT)
        for lane in range(thresholds.size):
            x = row[lane] + event.delta
            flush = abs(x) > thresholds[lane]
            flushes[of_parent, lane] += flush and i >= first
            row[lane] = 0 if flush else x
