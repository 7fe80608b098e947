"""Statistics of slab memory per memcg, up to Linux 5.12: per-CPU drift, propagated by atomics when it grows too big."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from core.compiled import entry
from core.events import ROOT, record

STAT_EVENT = record(cpu="i4", memcg="i4", item="i4", delta="i4")
"""A statistic of `memcg` (ROOT: the parent of all) changes by `delta` pages or bytes on a CPU; `item` is 0 or 1."""


def run_vmstat(events: NDArray[np.void], thresholds: NDArray[np.int64], *, cpus: int) -> NDArray[np.int64]:
    """Count how often a CPU's drift exceeds each threshold and is added to the memcg and its ancestors.

    events: `STAT_EVENT` records; thresholds: `[lanes]` in the unit of `delta`. Returns `[2, lanes]`: flushes of a
    memcg, flushes of the parent. Follows __mod_memcg_state() and __mod_lruvec_state() (mm/memcontrol.c, Linux 5.2): the
    memcg's and the node's statistic drift alike on one node, so each flush here is one of either. With more nodes the
    nodes' drifts are smaller than counted here.
    """
    memcgs = int(events["memcg"].max(initial=ROOT)) + 1
    key = (events["cpu"] * memcgs + events["memcg"]) * 2 + events["item"]
    flushes = np.zeros((2, thresholds.size), np.int64)
    _drift(key, events["memcg"] == ROOT, events["delta"].astype(np.int64), thresholds, cpus * memcgs * 2, flushes)
    return flushes


@entry
def _drift(key, of_parent, delta, thresholds, keys, flushes):  # type: ignore[no-untyped-def]
    drift = np.zeros((keys, thresholds.size), np.int64)
    for i in range(key.size):
        row = drift[key[i]]
        for lane in range(thresholds.size):
            x = row[lane] + delta[i]
            flush = abs(x) > thresholds[lane]
            flushes[1 if of_parent[i] else 0, lane] += flush
            row[lane] = 0 if flush else x
