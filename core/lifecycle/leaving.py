"""What each memcg that leaves something of its own behind leaves: Poisson numbers of some things, others by chance."""

from __future__ import annotations

from math import exp, sqrt
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from core.workload import PIN_KINDS, Workload

STACK = PIN_KINDS.index("stack")
FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]


class Lefts(NamedTuple):
    """Leftovers of followed memcgs, by memcg: first those that reclaim ends, then those that end by themselves.

    Those of memcg `m` are `left_start[m]:left_start[m + 1]`, and `held_start[m]:held_start[m + 1]`. `turnovers` is the
    age at which reclaim ends one, `hold_s` the time after offline at which one ends by itself. `spot` is the place of
    the object among those that the memcg allocated from the cache, in 2**-32.
    """

    left_start: NDArray[np.int32]  # [memcgs + 1]
    left_kind: NDArray[np.int32]  # [leftovers] index into Workload.leftovers
    left_turnovers: FloatArray
    left_spot: NDArray[np.uint32]
    held_start: NDArray[np.int32]  # [memcgs + 1]
    held_kind: NDArray[np.int32]  # [held] index into PIN_KINDS
    held_memcg: NDArray[np.int32]
    hold_s: FloatArray


class Laws(NamedTuple):
    """How a workload's memcgs leave things behind: kinds are those of `Workload.leftovers`, then PIN_KINDS."""

    means: FloatArray  # [leftovers + 1] of Poisson numbers; the last is that of stray tasks
    chances: FloatArray  # [leftovers + PIN_KINDS] of leaving one more
    turnovers: FloatArray  # [leftovers] mean age
    hold_s: FloatArray  # [PIN_KINDS] mean
    stray_task_s: float  # mean

    @property
    def leaves(self) -> float:
        """Chance that a memcg leaves anything."""
        with np.errstate(divide="ignore"):  # what is certain has an infinite hazard
            return float(-np.expm1(-(self.means.sum() - np.log1p(-self.chances).sum())))


def laws(load: Workload) -> Laws:
    """Return the laws of a workload."""
    lefts, pins = load.leftovers.values(), [getattr(load.pins, name) for name in PIN_KINDS]
    return Laws(
        means=np.array([*(left.private for left in lefts), load.stray_tasks], np.float64),
        chances=np.array([*(left.chance for left in lefts), *(pin.chance for pin in pins)]),
        turnovers=np.array([left.private_turnovers for left in lefts], np.float64),
        hold_s=np.array([pin.hold_s for pin in pins]),
        stray_task_s=load.stray_task_s,
    )


def leave(rng: np.random.Generator, more: np.random.Generator, law: Laws, memcgs: int) -> Lefts:
    """Draw what so many memcgs leave, each at least one thing.

    `more` draws what is left by chance, so that a workload without has the draws that it would have if there was no
    such thing.
    """
    kinds, mean = law.turnovers.size, float(law.means.sum())
    hits = _by_chance(more, law, memcgs)
    number = poisson_at_least_one(rng, mean, memcgs) * ~hits.none if mean else np.zeros(memcgs, np.int64)
    memcg = np.repeat(np.arange(memcgs, dtype=np.int32), number)
    del number  # of a million memcgs each array is megabytes
    shares = np.cumsum(law.means / mean) if mean else np.ones(1)
    kind = np.searchsorted(shares, rng.random(memcg.size), side="right").astype(np.int32)
    np.minimum(kind, kinds, out=kind)
    turnovers = rng.standard_exponential(memcg.size)
    turnovers *= np.append(law.turnovers, 0.0)[kind]
    spot = rng.integers(0, 2**32, memcg.size, dtype=np.uint32)
    stray = kind == kinds
    hold_s = law.stray_task_s * rng.standard_exponential(stray.sum())

    kept, held = hits.kind < kinds, hits.kind >= kinds
    more_turnovers = more.standard_exponential(kept.sum()) * law.turnovers[hits.kind[kept]]
    more_spot = more.integers(0, 2**32, int(kept.sum()), dtype=np.uint32)
    more_hold_s = more.standard_exponential(held.sum()) * law.hold_s[hits.kind[held] - kinds]

    left_memcg = np.concatenate([memcg[~stray], hits.memcg[kept]])
    held_memcg = np.concatenate([memcg[stray], hits.memcg[held]])
    by_memcg, by_holder = (  # what was drawn together is in order
        np.argsort(each, kind="stable") if hits.kind.size else slice(None) for each in (left_memcg, held_memcg)
    )
    held_kind = np.concatenate([np.full(hold_s.size, STACK, np.int32), hits.kind[held] - kinds])
    return Lefts(
        left_start=starts(left_memcg, memcgs).astype(np.int32),
        left_kind=np.concatenate([kind[~stray], hits.kind[kept]])[by_memcg],
        left_turnovers=np.concatenate([turnovers[~stray], more_turnovers])[by_memcg],
        left_spot=np.concatenate([spot[~stray], more_spot])[by_memcg],
        held_start=starts(held_memcg, memcgs).astype(np.int32),
        held_kind=held_kind[by_holder],
        held_memcg=held_memcg[by_holder],
        hold_s=np.concatenate([hold_s, more_hold_s])[by_holder],
    )


def starts(number: NDArray[np.integer], numbers: int) -> IntArray:
    """Return where those of each number begin, once they are in order, and where the last of them end.

    `[numbers + 1]`; what has a larger number is behind them.
    """
    found = np.zeros(numbers + 1, np.int64)
    np.cumsum(np.bincount(number, minlength=numbers)[:numbers], out=found[1:])
    return found


class _Hits(NamedTuple):
    """What is left by chance, and which memcgs leave no Poisson number of anything."""

    memcg: NDArray[np.int32]
    kind: NDArray[np.int32]
    none: NDArray[np.bool_]  # [memcgs]


def _by_chance(rng: np.random.Generator, law: Laws, memcgs: int) -> _Hits:
    """Toss each coin in turn, given that a memcg leaves one thing at least, by any law."""
    if not law.chances.any():
        return _Hits(np.zeros(0, np.int32), np.zeros(0, np.int32), np.zeros(memcgs, np.bool_))
    some = -np.expm1(-law.means.sum())
    found = rng.random(memcgs) * law.leaves < some
    none, memcg, kind = ~found, [], []
    for k in np.flatnonzero(law.chances):
        rest = 1 - np.prod(1 - law.chances[k:])  # that this coin or a later one falls on its face
        hit = rng.random(memcgs) < np.where(found, law.chances[k], law.chances[k] / rest)
        found |= hit
        memcg.append(np.flatnonzero(hit).astype(np.int32))
        kind.append(np.full(memcg[-1].size, k, np.int32))
    return _Hits(np.concatenate(memcg), np.concatenate(kind), none)


def poisson_at_least_one(rng: np.random.Generator, mean: float, size: int) -> IntArray:
    """Poisson numbers given that they are not 0, by inversion."""
    chance = exp(-mean)
    target = chance + rng.random(size) * -np.expm1(-mean)
    number, below = np.zeros(size, np.int64), chance
    for k in range(1, int(mean + 12 * sqrt(mean)) + 20):
        number += target >= below
        chance *= mean / k
        below += chance
    return number
