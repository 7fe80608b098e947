"""Dying memcgs in closed form: mean and covariance over time, for fits that evaluate tens of thousands of hosts.

Memcgs go offline as a Poisson stream. Each is pinned at age `a` with a chance that falls with `a`, whatever the others
do, so those pinned at any times are a thinned Poisson process (the queue M/G/inf): the number at a time is Poisson, and
the covariance of two times is the expected number pinned at both. The simulation (`core.lifecycle`) has the same means
while reclaim keeps its speed; beyond that it follows common objects one by one, and reclaims faster as memory fills up.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from core.workload import PAGE_CACHE, Leftover, Workload

Numbers = NDArray[np.float64]
HISTORY_CELLS = 40  # of the time from boot to the first row; short ones last, where most is decided
WINDOW_CELLS = 36  # of the time from the first row to the last, at least


class Hosts(NamedTuple):
    """Hosts to be evaluated at once; every field has shape `[hosts]`."""

    churn_hz: Numbers
    slab: Numbers  # factor on the workload's leftovers in kmem_caches
    page_cache: Numbers  # factor on its leftovers in the page cache
    turnover_s: Numbers  # of the page cache
    up_s: Numbers  # from boot to time 0


class Pinning(NamedTuple):
    """What holds a memcg under a host's design and kernel."""

    slab: bool  # leftovers in kmem_caches
    page_cache: bool  # leftovers in the page cache
    held: tuple[tuple[float, float], ...]  # what reclaim does not end: chance, and mean seconds


class Moments(NamedTuple):
    """Of the dying memcgs of hosts at times."""

    mean: Numbers  # [hosts, times]
    covariance: Numbers  # [hosts, times, times]
    by_slab: Numbers  # [hosts] share of them, at the last time, that slab alone would pin


def moments(load: Workload, hosts: Hosts, times_s: Numbers, pinning: Pinning) -> Moments:
    """Return mean and covariance of the dying memcgs at ascending times since the first row."""
    up_s = hosts.up_s[:, None]
    gone_s, weight_s = _cells(up_s, times_s)
    started = np.clip(gone_s / load.lifetime_s, 0.0, 1.0)  # the first memcgs after boot end a lifetime later
    rate = hosts.churn_hz[:, None] * weight_s * started
    age_s = up_s[:, None, :] + times_s - gone_s[:, :, None]
    happened = age_s >= 0
    np.maximum(age_s, 0.0, out=age_s)
    free, free_of_slab = np.ones(age_s.shape), np.ones(age_s.shape)  # chances that nothing pins, that no slab does
    for chance, hold_s in pinning.held:
        free *= 1.0 - chance * np.exp(-age_s / max(hold_s, 1e-3))
    for name, left in load.leftovers.items():
        of_pages = name == PAGE_CACHE
        if not (pinning.page_cache if of_pages else pinning.slab):
            continue
        factor = (hosts.page_cache if of_pages else hosts.slab)[:, None]
        stay = np.exp(-age_s / _stay_s(left.private_turnovers, hosts))
        lacks = np.exp(-left.private * factor[:, :, None] * stay)
        if left.chance:
            lacks *= 1.0 - np.minimum(left.chance * factor, 1.0)[:, :, None] * stay
        if left.common and left.common_touch:
            found = _charged_for(load, left, hosts, gone_s, factor)[:, :, None]
            lacks *= np.exp(-found * np.exp(-age_s / _stay_s(left.common_turnovers, hosts)))
        free *= lacks
        if not of_pages:
            free_of_slab *= lacks
    expected = rate[:, :, None] * np.where(happened, 1.0 - free, 0.0)
    mean = expected.sum(axis=1)
    both = expected.swapaxes(1, 2) @ happened.astype(np.float64)  # [hosts, later, earlier]: gone before the earlier
    later = np.maximum.outer(np.arange(times_s.size), np.arange(times_s.size))
    earlier = np.minimum.outer(np.arange(times_s.size), np.arange(times_s.size))
    by_slab = (rate * np.where(happened[:, :, -1], 1.0 - free_of_slab[:, :, -1], 0.0)).sum(axis=1)
    levels = load.levels_per_unit
    return Moments(
        levels * mean, levels**2 * both[:, later, earlier], by_slab / np.maximum(mean[:, -1], np.finfo(float).tiny)
    )


def leaves(load: Workload, hosts: Hosts, pinning: Pinning) -> tuple[Numbers, Numbers, Numbers]:
    """Return the shares of removed cgroups that are pinned by slab, by page cache, and by anything.

    Each `[hosts]`, of a host that has been up for long, and right after the removal.
    """
    late = np.full((hosts.churn_hz.size, 1), 1e9)
    lacks = {False: np.ones(hosts.churn_hz.size), True: np.ones(hosts.churn_hz.size)}
    for name, left in load.leftovers.items():
        of_pages = name == PAGE_CACHE
        if not (pinning.page_cache if of_pages else pinning.slab):
            continue
        factor = hosts.page_cache if of_pages else hosts.slab
        common = _charged_for(load, left, hosts, late, factor[:, None])[:, 0]
        lacks[of_pages] *= np.exp(-left.private * factor - common) * (1 - np.minimum(left.chance * factor, 1.0))
    free = lacks[False] * lacks[True] * np.prod([1.0 - chance for chance, _ in pinning.held])
    return 1.0 - lacks[False], 1.0 - lacks[True], 1.0 - free


def _stay_s(turnovers: float, hosts: Hosts) -> Numbers:
    return np.maximum(turnovers * hosts.turnover_s, 1e-3)[:, None, None]


def _cells(up_s: Numbers, times_s: Numbers) -> tuple[Numbers, Numbers]:
    """Return middles, in seconds since boot, and widths of cells of time that end at the rows; `[hosts, cells]`."""
    each = -(-WINDOW_CELLS // max(times_s.size - 1, 1))
    history = up_s * _ending(HISTORY_CELLS)
    window = (times_s[:-1, None] + np.diff(times_s)[:, None] * _ending(each)[1:]).ravel()
    edges = np.concatenate([history, up_s + window], axis=1)
    return (edges[:, 1:] + edges[:, :-1]) / 2, np.diff(edges, axis=1)


def _ending(cells: int) -> Numbers:
    """Return edges from 0 to 1, closest at 1: what went just before a row is what may be gone by the next."""
    return np.asarray(1.0 - np.linspace(1.0, 0.0, cells + 1) ** 3)


def _charged_for(load: Workload, left: Leftover, hosts: Hosts, gone_s: Numbers, factor: Numbers) -> Numbers:
    """Return how many common objects of a cache a memcg is charged for, in the mean, when it goes; `[hosts, cells]`.

    A common object is cached until reclaim takes it, and then missing until a memcg needs it, which is charged for it.
    """
    evicts_hz = 1.0 / np.maximum(left.common_turnovers * hosts.turnover_s, 1e-3)[:, None]
    needed_hz = left.common_touch * hosts.churn_hz[:, None]
    born_s = np.maximum(gone_s - load.lifetime_s, 0.0)
    missing = left.common * factor * evicts_hz / (evicts_hz + needed_hz) * -np.expm1(-born_s * (evicts_hz + needed_hz))
    return np.asarray(left.common_touch * missing * np.exp(-load.lifetime_s * evicts_hz))
