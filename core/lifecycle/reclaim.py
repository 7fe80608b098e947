"""Common objects: host-wide, needed by many memcgs, cached or missing, each followed from its own side.

An object is cached until reclaim evicts it, then missing until a memcg needs it, a geometric number of memcgs later.
So its cost does not grow with churn, and how many memcgs it can pin is bounded by how often it is evicted.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from core.bits import GOLDEN, finalise
from core.compiled import part
from core.lifecycle.population import NEVER, STEPS, TICKS_PER_STEP

SPEED_LIMIT = 16  # reclaim does not get faster than this: below 1/16 of its page cache a host is out of memory
CALENDAR_TICKS = STEPS * TICKS_PER_STEP * SPEED_LIMIT


def int64s(*values: int) -> list[int]:
    """Name integers for jitted code: as int64, since Numba compiles a function again for each literal it is given."""
    named: list[Any] = [np.int64(value) for value in values]
    return named


(NONE,) = int64s(-1)
AGE, NEEDED, PLACE, MEMCG, LIFE, ANGLE, CPU, SEAT, PICK, TURN = int64s(*range(10))  # what a draw is for


class Common(NamedTuple):
    """Where the common objects are: cached until a tick, or missing until a memcg needs them."""

    turn: NDArray[np.int64]  # [objects] how often it was evicted
    wait: NDArray[np.int64]  # [objects] if missing: rank of the memcg that needs it, counted from the step's first
    missing: NDArray[np.int64]  # [objects] the first so many are missing
    evicts: NDArray[np.int64]  # [CALENDAR_TICKS] first object that is evicted at a tick; NONE
    evicts_next: NDArray[np.int64]  # [objects] the next one


def new_common(objects: int) -> Common:
    """Return the state of so many common objects before anything happened."""
    return Common(
        turn=np.zeros(objects, np.int64),
        wait=np.zeros(objects, np.int64),
        missing=np.empty(objects, np.int64),
        evicts=np.full(CALENDAR_TICKS, NONE, np.int64),
        evicts_next=np.empty(objects, np.int64),
    )


@part
def turn_clock(clock, used_bytes, page_cache_bytes):  # type: ignore[no-untyped-def]
    """Return the reclaim clock, in ticks, a step later: the page cache turns faster the less cgroups leave for it."""
    spare = max(page_cache_bytes - used_bytes, page_cache_bytes / SPEED_LIMIT)
    return clock + TICKS_PER_STEP * page_cache_bytes / spare


@part
def cache_until(tick, j, common):  # type: ignore[no-untyped-def]
    """Object `j` is cached until a tick."""
    if tick < CALENDAR_TICKS:
        common.evicts_next[j] = common.evicts[tick]
        common.evicts[tick] = j


@part
def miss(j, tick, before, now, born, objects, common):  # type: ignore[no-untyped-def]
    """Object `j` is evicted at a tick: draw which memcg needs it next, a geometric number of memcgs later."""
    common.turn[j] += 1
    passed = np.int64((tick - before + 0.5) / (now - before) * born)
    trials = float(NEVER) * NEVER
    if objects.touch[j] > 0.0:
        trials = np.floor(np.log(uniform(objects.seed, j, common.turn[j], NEEDED)) / np.log1p(-objects.touch[j]))
    common.wait[j] = passed + np.int64(min(trials, float(NEVER) * NEVER))


@part
def age_ticks(objects, j, turn):  # type: ignore[no-untyped-def]
    """Ticks until object `j` is evicted: exponential."""
    return max(np.int64(min(np.ceil(-np.log(uniform(objects.seed, j, turn, AGE)) * objects.ticks[j]), float(NEVER))), 1)


@part
def uniform(seed, j, turn, use):  # type: ignore[no-untyped-def]
    """A number in (0, 1]."""
    return ((random_bits(seed, j, turn, use) >> np.uint64(11)) + np.uint64(1)) * 2.0**-53


@part
def random_bits(seed, j, turn, use):  # type: ignore[no-untyped-def]
    """64 random bits as a function of their place: the finaliser of SplitMix64, thrice.

    Each coordinate has a round of its own. Two in one round would be a sum: (j, turn) and (j + 1, turn - 1) one draw.
    """
    x = seed
    for place in (np.uint64(j), np.uint64(turn), np.uint64(use)):
        x = finalise(x + (place + np.uint64(1)) * GOLDEN)
    return x
