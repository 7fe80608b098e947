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

from core.workload import PAGE_CACHE, Workload

Floats = NDArray[np.float64]
HISTORY_CELLS = 40  # of the time from boot to the first row; short ones last, where most is decided
WINDOW_CELLS = 36  # of the time from the first row to the last, at least


class Hosts(NamedTuple):
    """Hosts to be evaluated at once; every field has shape `[hosts]`."""

    churn_hz: Floats
    slab: Floats  # factor on the workload's leftovers in kmem_caches
    page_cache: Floats  # factor on its leftovers in the page cache
    turnover_s: Floats  # of the page cache
    up_s: Floats  # from boot to time 0


class Moments(NamedTuple):
    """Of the dying memcgs of hosts at times."""

    mean: Floats  # [hosts, times]
    covariance: Floats  # [hosts, times, times]
    by_slab: Floats  # [hosts] share of them, at the last time, that slab alone would pin


def moments(load: Workload, hosts: Hosts, times_s: Floats, *, slab_pins: bool, page_cache_pins: bool) -> Moments:
    """Return mean and covariance of the dying memcgs at ascending times since the first row.

    slab_pins, page_cache_pins: what holds a memcg under the host's design and kernel (`leftovers.Rules`).
    """
    up_s = hosts.up_s[:, None]
    gone_s, weight_s = _cells(up_s, times_s)
    started = np.clip(gone_s / load.lifetime_s, 0.0, 1.0)  # the first memcgs after boot end a lifetime later
    rate = hosts.churn_hz[:, None] * weight_s * started
    age_s = up_s[:, None, :] + times_s - gone_s[:, :, None]
    happened = age_s >= 0
    slab = np.zeros(age_s.shape)
    page_cache = np.zeros(age_s.shape)
    for name in load.leftovers:
        of_pages = name == PAGE_CACHE
        if not (page_cache_pins if of_pages else slab_pins):
            continue
        factor = (hosts.page_cache if of_pages else hosts.slab)[:, None]
        objects = page_cache if of_pages else slab
        for number, turnovers in _objects(load, name, hosts, gone_s, factor):
            stay_s = np.maximum(turnovers * hosts.turnover_s, 1e-3)[:, None, None]
            objects += number[:, :, None] * np.exp(-np.maximum(age_s, 0.0) / stay_s)
    pinned = np.where(happened, -np.expm1(-slab - page_cache), 0.0)
    expected = rate[:, :, None] * pinned
    mean = expected.sum(axis=1)
    both = expected.swapaxes(1, 2) @ happened.astype(np.float64)  # [hosts, later, earlier]: gone before the earlier
    later = np.maximum.outer(np.arange(times_s.size), np.arange(times_s.size))
    earlier = np.minimum.outer(np.arange(times_s.size), np.arange(times_s.size))
    by_slab = (rate * np.where(happened[:, :, -1], -np.expm1(-slab[:, :, -1]), 0.0)).sum(axis=1)
    return Moments(mean, both[:, later, earlier], by_slab / np.maximum(mean[:, -1], 1e-300))


def leaves(load: Workload, hosts: Hosts, *, slab_pins: bool, page_cache_pins: bool) -> tuple[Floats, Floats]:
    """Return the shares of removed cgroups that something in a kmem_cache pins, and something in the page cache.

    Each `[hosts]`, of a host that has been up for long, and right after the removal.
    """
    late = np.full((hosts.churn_hz.size, 1), 1e9)
    objects = {False: np.zeros(hosts.churn_hz.size), True: np.zeros(hosts.churn_hz.size)}
    for name in load.leftovers:
        of_pages = name == PAGE_CACHE
        factor = (hosts.page_cache if of_pages else hosts.slab)[:, None]
        for number, _ in _objects(load, name, hosts, late, factor):
            objects[of_pages] += number[:, 0]
    return -np.expm1(-objects[False]) * slab_pins, -np.expm1(-objects[True]) * page_cache_pins


def _cells(up_s: Floats, times_s: Floats) -> tuple[Floats, Floats]:
    """Return middles, in seconds since boot, and widths of cells of time that end at the rows; `[hosts, cells]`."""
    each = -(-WINDOW_CELLS // max(times_s.size - 1, 1))
    history = up_s * _ending(HISTORY_CELLS)
    window = (times_s[:-1, None] + np.diff(times_s)[:, None] * _ending(each)[1:]).ravel()
    edges = np.concatenate([history, up_s + window], axis=1)
    return (edges[:, 1:] + edges[:, :-1]) / 2, np.diff(edges, axis=1)


def _ending(cells: int) -> Floats:
    """Return edges from 0 to 1, closest at 1: what went just before a row is what may be gone by the next."""
    return np.asarray(1.0 - np.linspace(1.0, 0.0, cells + 1) ** 3)


def _objects(
    load: Workload, name: str, hosts: Hosts, gone_s: Floats, factor: Floats
) -> tuple[tuple[Floats, float], tuple[Floats, float]]:
    """Return how many objects, private and common, a memcg that goes at a time leaves in a cache, and their turnovers.

    A common object is cached until reclaim takes it, and then missing until a memcg needs it, which is charged for it.
    """
    left = load.leftovers[name]
    private = np.broadcast_to(left.private * factor, gone_s.shape)
    if not left.common or not left.common_touch:
        return (private, left.private_turnovers), (np.zeros(gone_s.shape), 1.0)
    evicts_hz = 1.0 / np.maximum(left.common_turnovers * hosts.turnover_s, 1e-3)[:, None]
    needed_hz = left.common_touch * hosts.churn_hz[:, None]
    born_s = np.maximum(gone_s - load.lifetime_s, 0.0)
    missing = left.common * factor * evicts_hz / (evicts_hz + needed_hz) * -np.expm1(-born_s * (evicts_hz + needed_hz))
    still = np.exp(-load.lifetime_s * evicts_hz)
    return (private, left.private_turnovers), (left.common_touch * missing * still, left.common_turnovers)
