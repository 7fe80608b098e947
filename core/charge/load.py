"""The load of a charge window, and all that its events depend on; `core.charge.window` draws them.

Knows no Numba: whoever only asks which windows are one waits for none.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from core.keys import identity, seen_by, setting
from core.rng import keyed_generator
from core.workload import ChargeMix

if TYPE_CHECKING:
    from core.params import Point

WARM_BURSTS = 1.5  # bursts of a memcg before the window is counted; an object lives for one burst at most
# What a memcg allocates and frees on each of its CPUs before that, as a share of what it keeps in a burst: by what
# bounds a CPU's partial list (`kernel.cpu_partial_rule`). With less or more, slabs kept in reserve by CPUs and nodes
# would grow or shrink for many bursts, and charges or uncharges prevail.
FILL = {"objects": 0.8, "slabs": 0.9, "off": 0.9}
FILL_OF_ARRAYS = 1.0  # of SLAB


def replay_key(point: Point) -> Hashable:
    """Return all that a point's machine, with its window and what it replays, depends on."""
    return window_key(seen_by(point, "machine")), setting(point, "machine")


def window_key(point: Point) -> Hashable:
    """Return all that the window of a point depends on: points that are equal in it have the same events."""
    comings = tuple(taken_over(point))
    key = (*still_key(point), comings)
    return (*key, point.workload.cache_creation_s) if comings else key


def still_key(point: Point) -> tuple[Hashable, ...]:
    """Return all that the window of a point's machine depends on where nobody comes or goes."""
    return *streams_key(point), point.cpus


def streams_key(point: Point) -> tuple[Hashable, ...]:
    """Return all that the streams depend on where nobody comes or goes, but how many there are."""
    return realisation(point), point.kernel.filp_by_rcu, reserve(point)


def slots_of_streams(mix: ChargeMix, cpus: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the first slot that each stream drives and the one after its last, `[cpus]`.

    A slot is a memcg that is online, or one after the other that takes its place. With less than one memcg per CPU
    several streams drive one.
    """
    ends = np.floor(np.arange(cpus + 1) * mix.memcgs_per_cpu + 1e-9).astype(np.int64)
    return ends[:-1], np.maximum(ends[1:], ends[:-1] + 1)


def memcgs_online(mix: ChargeMix, cpus: int) -> int:
    """Return how many memcgs are online at any time on a machine."""
    return int(slots_of_streams(mix, cpus)[1][-1])


def reserve(point: Point) -> float:
    """Return what a memcg fills on each of its CPUs beforehand, as a share of what it keeps in a burst."""
    return FILL_OF_ARRAYS if point.allocator == "slab" else FILL[point.kernel.cpu_partial_rule]


def burst(mix: ChargeMix) -> int:
    """Return a memcg's allocations in a stream from the end of one burst to the next."""
    return max(round(mix.burst_allocations), 1)


def warm(mix: ChargeMix) -> int:
    """Return the allocations of a stream in the warm-up: each memcg that it drives has its share."""
    return int(np.ceil(WARM_BURSTS * burst(mix) * max(mix.memcgs_per_cpu, 1.0)))


def realisation(point: Point) -> str:
    """Return what keys the random numbers of a window: the mix, and which of those that are alike."""
    return f"{identity(point.workload.charge)} {point.seed} {point.replicate}"


def taken_over(point: Point) -> list[tuple[int, int]]:
    """Return slot and time, in allocations of the streams, of each memcg that comes online, in order of time.

    One Poisson process of unit rate, whose clock `churn_hz` sets, so that churn rates are compared in pairs.
    """
    mix = point.workload.charge
    length = warm(mix) + mix.allocations_per_cpu
    mean = point.churn_hz * length / mix.allocations_hz_per_cpu
    if mean == 0:
        return []
    enough = int(mean + 12 * np.sqrt(mean) + 64)
    gaps = keyed_generator(realisation(point), "comings").standard_exponential(enough)
    hashes = keyed_generator(realisation(point), "slots of comings").random(enough)
    clock = np.cumsum(gaps)
    within = clock < mean
    at = clock[within] / mean * length
    slots = hashes[within] * memcgs_online(mix, point.cpus)
    return [(int(slot), int(time)) for slot, time in zip(slots, at, strict=True)]
