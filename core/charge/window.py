"""The events of a scenario's charge window."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from core.checks import at_least
from core.events import ALLOC, EVENT, FREE, OFFLINE, ONLINE
from core.rng import generator

if TYPE_CHECKING:
    from core.params import Point


def charge_window(point: Point) -> NDArray[np.void]:
    """Draw the window of a point's scenario: `EVENT` records in the order in which they happen.

    Time is counted in allocations: allocation `i` happens at `i`, all else in between. The window starts cold, so its
    first part charges more than it uncharges. Raises ValueError if more memcgs come online than objects are allocated.
    """
    mix = point.workload.charge
    rng = generator(point, "charge window")
    replacements = rng.poisson(point.churn_hz * mix.allocations / mix.allocations_hz)
    at_least("workload.charge.allocations", mix.allocations, replacements, "or lower churn_hz or allocations_hz")
    at = np.arange(mix.allocations)

    # Slots are what runs at any time. A slot's memcg goes offline when the next one takes the slot.
    taken_at = np.sort(rng.choice(mix.allocations, replacements, replace=False))
    slot_of = np.concatenate([np.arange(mix.memcgs), rng.integers(0, mix.memcgs, replacements)])
    online_at = np.concatenate([np.full(mix.memcgs, -1), taken_at])
    offline_at = _next_in_slot(slot_of, online_at)

    # Scheduler quanta, each on the last CPU of its slot unless it migrates.
    quanta = int(1.5 * mix.allocations / mix.quantum_allocations) + 64
    ends_at = np.cumsum(rng.geometric(1 / mix.quantum_allocations, quanta))
    slot = rng.integers(0, mix.memcgs, quanta)
    on = _last_fresh(slot, rng.random(quanta) < mix.migrates, rng.integers(0, 1 << 32, quanta, dtype=np.uint32))
    quantum = _quantum_at(ends_at, at)

    memcg = _last_not_after(slot_of, online_at, slot[quantum], at, mix.allocations)
    shares = np.array(list(mix.caches.values()))
    cache = rng.choice(shares.size, mix.allocations, p=shares / shares.sum())
    creation = point.workload.cache_creation_s * mix.allocations_hz
    early = (online_at[memcg] >= 0) & (at <= _first_use(memcg * shares.size + cache, at) + creation)

    exits_at = offline_at[memcg]
    short = rng.random(at.size) < mix.short_lived
    outlives = ~short & (rng.random(at.size) < mix.outlives)
    spread = rng.random(at.size) / 2
    short_until = at + rng.exponential(mix.quantum_allocations, at.size)
    kept_until = _burst_ends(memcg, rng.random(at.size) < 1 / mix.burst_allocations)
    left_until = exits_at + rng.exponential(mix.burst_allocations * mix.memcgs, at.size)
    used_until = np.minimum(np.where(short, short_until, kept_until), exits_at - 0.2) - spread
    free_at = np.where(outlives, left_until, np.maximum(used_until, at + 0.25))
    freed = np.flatnonzero(free_at < mix.allocations)
    freeing = _quantum_at(ends_at, free_at[freed])
    own = on[_last_not_after(slot, np.arange(quanta), slot_of[memcg[freed]], freeing, quanta)]
    elsewhere = outlives[freed] | (rng.random(freed.size) < mix.remote_frees)
    free_on = np.where(elsewhere, rng.integers(0, 1 << 32, freed.size, dtype=np.uint32), own)

    gone = np.flatnonzero(np.isfinite(offline_at))
    gone_on = rng.integers(0, 1 << 32, gone.size, dtype=np.uint32)
    events = np.concatenate(
        [
            _records(ONLINE, slot_of.size, memcg=np.arange(slot_of.size) + 1),
            _records(ALLOC, at.size, memcg=memcg + 1, cache=cache, object=at, early=early, cpu_hash=on[quantum]),
            _records(FREE, freed.size, object=freed, cpu_hash=free_on),
            _records(OFFLINE, gone.size, memcg=gone + 1, cpu_hash=gone_on),
        ]
    )
    # Its tasks have freed their objects when a memcg goes offline; then the next one comes online, and allocates.
    time = np.concatenate([online_at - 0.1, at, free_at[freed], offline_at[gone] - 0.2])
    return events[np.argsort(time, kind="stable")]


def _records(kind: int, count: int, **fields: NDArray[np.generic]) -> NDArray[np.void]:
    records = np.zeros(count, EVENT)
    records["kind"] = kind
    for name, values in fields.items():
        records[name] = values
    return records


def _quantum_at(ends_at: NDArray[np.integer], time: NDArray[np.generic]) -> NDArray[np.intp]:
    return np.minimum(np.searchsorted(ends_at, time, side="right"), ends_at.size - 1)


def _next_in_slot(slot: NDArray[np.integer], at: NDArray[np.integer]) -> NDArray[np.float64]:
    """Time of the next entry of the same slot, for each entry; infinity for the last."""
    order = np.lexsort((at, slot))
    followed = np.flatnonzero(slot[order][1:] == slot[order][:-1])
    next_at = np.full(slot.size, np.inf)
    next_at[order[followed]] = at[order[followed + 1]]
    return next_at


def _last_fresh(
    slot: NDArray[np.integer], is_fresh: NDArray[np.bool_], fresh: NDArray[np.uint32]
) -> NDArray[np.uint32]:
    """Value of the last fresh entry of the same slot, for each entry; a slot's first entry is fresh."""
    order = np.argsort(slot, kind="stable")
    starts = is_fresh[order]
    starts[np.flatnonzero(np.diff(slot[order], prepend=-1))] = True
    values = np.empty_like(fresh)
    values[order] = fresh[order][np.maximum.accumulate(np.where(starts, np.arange(slot.size), 0))]
    return values


def _last_not_after(
    slot: NDArray[np.integer],
    at: NDArray[np.integer],
    of_slot: NDArray[np.integer],
    time: NDArray[np.integer],
    end: int,
) -> NDArray[np.intp]:
    """Index of the last entry of slot `of_slot` that is not after `time`, for each query; times end before `end`."""
    order = np.lexsort((at, slot))
    keys = slot[order] * (end + 1) + at[order] + 1
    return order[np.searchsorted(keys, of_slot * (end + 1) + time + 1, side="right") - 1]


def _burst_ends(memcg: NDArray[np.integer], ends: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Time of the allocation by the same memcg that follows the end of its current burst; infinity if none does."""
    order = np.argsort(memcg, kind="stable")
    in_order = np.arange(memcg.size)
    last = np.flatnonzero(ends[order])
    following = np.append(last + 1, memcg.size)[np.searchsorted(last, in_order)]
    same = (following < memcg.size) & (memcg[order][np.minimum(following, memcg.size - 1)] == memcg[order])
    burst_ends = np.empty(memcg.size)
    burst_ends[order] = np.where(same, order[np.minimum(following, memcg.size - 1)], np.inf)
    return burst_ends


def _first_use(key: NDArray[np.integer], at: NDArray[np.integer]) -> NDArray[np.int64]:
    """Earliest time at which the same key is used, for each entry; times ascend."""
    first = np.zeros(key.max() + 1, np.int64)
    first[key[::-1]] = at[::-1]
    used: NDArray[np.int64] = first[key]
    return used
