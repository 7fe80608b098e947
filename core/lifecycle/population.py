"""A scenario's memcgs: when they come and go, and what they leave behind. Knows no design, no CPU and no kernel.

Cost does not grow with churn: a memcg that leaves nothing of its own behind is only counted (a thinned Poisson process
is a Poisson process, and its points split by fate are independent Poisson numbers), and a common object is followed
from the object's side (see `core.lifecycle.pinning`).
"""

from __future__ import annotations

from math import erf, log, sqrt
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from core.checks import at_most
from core.lifecycle.leaving import Laws, Lefts, laws, leave, starts
from core.params import Point
from core.rng import generator
from core.workload import Workload

STEPS = 512  # of a scenario; counts are exact at their ends
TICKS_PER_STEP = 4  # of the reclaim clock at its base speed
NEVER = 2**30  # a tick that no run reaches
SPOTS = 2.0**32  # places that `left_spot` tells apart
MAX_FOLLOWED = 5_000_000  # memcgs that leave something behind; beyond it a worker's memory is at stake


class Alone(NamedTuple):
    """Memcgs that leave one thing, to reclaim: nearly all, where many leave something.

    They are in the order of the step in which they go offline, then of what they are (`single_of`), then of the age at
    which reclaim ends it, in which a calendar is filled from front to back.
    """

    start: NDArray[np.int64]  # [STEPS, singles + 1] where those of a step and kind begin, and where the last end
    memcg: NDArray[np.int32]
    ticks: NDArray[np.int32]


class Followed(NamedTuple):
    """The memcgs that leave something of their own behind, in the order in which they go offline, and their leftovers.

    Leftovers of memcg `m` that reclaim ends are `left_start[m]:left_start[m + 1]`, those that end by themselves
    `held_start[m]:held_start[m + 1]`. `left_spot` is the place of the object among those that the memcg allocated from
    the cache, in 2**-32: it decides on which slab and CPU it was, and when.
    """

    birth_start: NDArray[np.int64]  # [STEPS + 1] memcgs born before each step
    birth_order: NDArray[np.int32]  # [memcgs] by the step in which they are born, then by rank
    rank: NDArray[np.int32]  # [memcgs] in that order: rank among all memcgs born in the same step
    off_start: NDArray[np.int64]  # [STEPS + 1] memcgs gone before each step
    life_s: NDArray[np.float64]  # [memcgs]
    key: NDArray[np.uint32]  # decides on which CPUs it ran
    left_start: NDArray[np.int32]  # [memcgs + 1]
    left_kind: NDArray[np.int32]  # [leftovers] index into Workload.leftovers
    left_ticks: NDArray[np.int32]  # age at which it is reclaimed, in ticks of the reclaim clock
    left_spot: NDArray[np.uint32]
    held_start: NDArray[np.int32]  # [memcgs + 1]
    held_kind: NDArray[np.int32]  # [held] index into PIN_KINDS
    held_step: NDArray[np.int32]  # in which it lets go of the memcg
    alone: Alone
    others_start: NDArray[np.int64]  # [STEPS + 1] those of `others` gone before each step
    others: NDArray[np.int32]  # [memcgs - alone] memcgs that leave more than one thing, or what ends by itself


class Objects(NamedTuple):
    """The common objects; `[objects]`. Their draws are hashes of `seed`, the object and how often it was cached."""

    kind: NDArray[np.int32]  # index into Workload.leftovers
    touch: NDArray[np.float64]  # chance that a memcg needs it
    ticks: NDArray[np.float64]  # mean age at which it is reclaimed
    seed: np.uint64


class Population(NamedTuple):
    """One scenario, as every design sees it."""

    step_s: float
    arrivals: NDArray[np.int64]  # [STEPS] memcgs that come online
    online: NDArray[np.int64]  # [STEPS] memcgs online at the end of the step, without the resident ones
    followed: Followed
    objects: Objects


def populate(point: Point) -> Population:
    """Draw the population of a point's scenario.

    Raises ValueError if more memcgs than fit in memory would leave something behind.
    """
    load, step_s = point.workload, point.duration_s / STEPS
    law = laws(load)
    leave_hz = point.churn_hz * law.leaves
    at_most(
        "churn_hz",
        leave_hz * point.duration_s,
        MAX_FOLLOWED,
        "that many memcgs leave objects behind: lower churn_hz, duration_s or workload.leftovers",
    )
    born, gone = _counted(generator(point, "counted memcgs"), load, point.churn_hz - leave_hz, step_s)
    followed = _followed(point, leave_hz, law, born)
    arrivals = born + np.diff(followed.birth_start)
    return Population(
        step_s=step_s,
        arrivals=arrivals,
        online=np.cumsum(arrivals - gone - np.diff(followed.off_start)),
        followed=followed,
        objects=_objects(point, step_s),
    )


def tick_turnovers(load: Workload, step_s: float) -> float:
    """Turnovers of the page cache per tick of the reclaim clock; 0 if there is no memory pressure."""
    pressure = load.pressure
    return pressure.refill_mib_s * step_s / (pressure.memory_mib - pressure.in_use_mib) / TICKS_PER_STEP


def gone_by_step(load: Workload, step_s: float) -> NDArray[np.float64]:
    """Chance that a memcg born at a uniform time of a step goes offline `k` steps later; `[STEPS + 1]`, last: later.

    Second differences of the integrated lifetime distribution, `H(k) = integral of F from 0 to k`, in steps.
    """
    integral = [0.0, *(_integrated_cdf(load, k * step_s) / step_s for k in range(STEPS + 1))]  # H(-1) = 0
    chance = np.maximum(np.diff(integral, 2), 0.0)
    return np.append(chance, max(1.0 - chance.sum(), 0.0))


def _integrated_cdf(load: Workload, t_s: float) -> float:
    """Integral of the lifetime's distribution function from 0 to `t_s`: the mean of max(t - lifetime, 0)."""
    if load.lifetime_sigma == 0 or t_s == 0:
        return max(t_s - load.lifetime_s, 0.0)
    z = (log(t_s / load.lifetime_s) + load.lifetime_sigma**2 / 2) / load.lifetime_sigma
    return t_s * _normal_cdf(z) - load.lifetime_s * _normal_cdf(z - load.lifetime_sigma)


def _normal_cdf(z: float) -> float:
    return (1 + erf(z / sqrt(2))) / 2


def _counted(
    rng: np.random.Generator, load: Workload, rate_hz: float, step_s: float
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Memcgs that leave nothing: numbers born and gone in each step, as independent Poisson numbers by fate."""
    by_fate = rng.poisson(rate_hz * step_s * gone_by_step(load, step_s), size=(STEPS, STEPS + 1))
    gone_in = np.add.outer(np.arange(STEPS), np.arange(STEPS + 1))
    gone = np.bincount(gone_in.ravel(), weights=by_fate.ravel(), minlength=STEPS)[:STEPS]
    return by_fate.sum(axis=1), gone.astype(np.int64)


def _followed(point: Point, rate_hz: float, law: Laws, born: NDArray[np.int64]) -> Followed:
    rng = generator(point, "followed memcgs")
    load, step_s = point.workload, point.duration_s / STEPS
    memcgs = int(rng.poisson(rate_hz * point.duration_s))
    sigma = load.lifetime_sigma
    birth_s = rng.random(memcgs) * point.duration_s
    life_s = load.lifetime_s * np.exp(sigma * rng.standard_normal(memcgs) - sigma**2 / 2)
    off_s = birth_s + life_s
    by_off = np.argsort(off_s)
    off_s, life_s = off_s[by_off], life_s[by_off]
    birth_start, birth_order, rank = _births(rng, birth_s[by_off], born, step_s)
    del birth_s, by_off  # of a million memcgs each array is megabytes
    key = rng.integers(0, 2**32, memcgs, dtype=np.uint32)

    lefts = leave(rng, generator(point, "left by chance"), law, memcgs)
    off_step = _step(off_s, step_s)
    off_start = np.searchsorted(off_step, np.arange(STEPS + 1))
    held_step = _step(off_s[lefts.held_memcg] + lefts.hold_s, step_s)
    del off_s
    left_ticks = _ticks(lefts.left_turnovers, tick_turnovers(load, step_s))
    lefts = lefts._replace(left_turnovers=np.empty(0))  # as large as any, and read
    alone = (np.diff(lefts.left_start) == 1) & (np.diff(lefts.held_start) == 0)
    others = np.flatnonzero(~alone)
    return Followed(
        birth_start=birth_start,
        birth_order=birth_order,
        rank=rank,
        off_start=off_start,
        life_s=life_s,
        key=key,
        left_start=lefts.left_start,
        left_kind=lefts.left_kind,
        left_ticks=left_ticks,
        left_spot=lefts.left_spot,
        held_start=lefts.held_start,
        held_kind=lefts.held_kind,
        held_step=held_step,
        alone=_alone(np.flatnonzero(alone), lefts, left_ticks, life_s, off_step, load),
        others_start=np.searchsorted(others, off_start),
        others=others.astype(np.int32),
    )


def _births(
    rng: np.random.Generator, birth_s: NDArray[np.float64], counted: NDArray[np.int64], step_s: float
) -> tuple[NDArray[np.int64], NDArray[np.int32], NDArray[np.int32]]:
    """Draw ranks among all memcgs born in a step, `counted` of whom are not followed; see `Followed`."""
    step = _step(birth_s, step_s)
    start = starts(step, STEPS)
    rank = np.empty(birth_s.size, np.int32)
    for first, end, more in zip(start[:-1], start[1:], counted, strict=True):
        rank[first:end] = rng.choice(end - first + more, end - first, replace=False)
    order = np.argsort(birth_s)
    by_rank = np.argsort(step[order].astype(np.int64) << 32 | rank)
    return start, order[by_rank].astype(np.int32), rank[by_rank]


def single_of(
    kind: NDArray[np.integer], *, early: NDArray[np.bool_], has_caches: NDArray[np.bool_]
) -> NDArray[np.integer]:
    """Number what can become of memcgs that leave one thing: its kind, and what existed when."""
    return 4 * kind + 2 * early + has_caches


def _alone(
    memcg: NDArray[np.intp],
    lefts: Lefts,
    left_ticks: NDArray[np.int32],
    life_s: NDArray[np.float64],
    off_step: NDArray[np.int32],
    load: Workload,
) -> Alone:
    singles = 4 * len(load.leftovers)
    its, its_life_s = lefts.left_start[memcg], life_s[memcg]
    single = single_of(
        lefts.left_kind[its],
        early=lefts.left_spot[its] * its_life_s < load.cache_creation_s * SPOTS,
        has_caches=its_life_s > load.cache_creation_s,
    )
    place, ticks = off_step[memcg].astype(np.int64) * singles + single, left_ticks[its]
    del its, its_life_s, single
    order = np.argsort(place << 32 | ticks)
    return Alone(
        start=starts(place, STEPS * singles)[np.add.outer(singles * np.arange(STEPS), np.arange(singles + 1))],
        memcg=memcg[order].astype(np.int32),
        ticks=ticks[order],
    )


def _objects(point: Point, step_s: float) -> Objects:
    lefts = list(point.workload.leftovers.values())
    kind = np.repeat(np.arange(len(lefts)), [left.common for left in lefts])
    per_tick = tick_turnovers(point.workload, step_s)
    turnovers = np.array([left.common_turnovers for left in lefts], dtype=np.float64)[kind]
    return Objects(
        kind=kind.astype(np.int32),
        touch=np.array([left.common_touch for left in lefts], dtype=np.float64)[kind],
        ticks=turnovers / per_tick if per_tick else np.full(kind.size, float(NEVER)),
        seed=generator(point, "common objects").integers(0, 2**64, dtype=np.uint64),
    )


def _step(time_s: NDArray[np.float64], step_s: float) -> NDArray[np.int32]:
    return np.minimum(time_s / step_s, STEPS).astype(np.int32)


def _ticks(turnovers: NDArray[np.float64], per_tick: float) -> NDArray[np.int32]:
    """Ages in whole ticks, at least one."""
    if per_tick == 0:
        return np.full(turnovers.shape, NEVER, np.int32)
    return np.clip(np.ceil(turnovers / per_tick), 1, NEVER).astype(np.int32)
