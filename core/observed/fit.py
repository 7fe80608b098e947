"""The fit of a host: which churn, leftovers, turnover and uptime can have made the dying memcgs that were seen.

Bayes with a wide prior, by an ensemble of walkers (Goodman and Weare, Communications in Applied Mathematics and
Computational Science 5, 2010): their stretch move needs no scale, and walks along the ridges that are left where two
unknowns cannot be told apart. What the rows say nothing about keeps its prior, and the caller can say so.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import log

import numpy as np
from scipy.special import gammaincc

from core.observed.mean_field import Hosts, Moments, Numbers, Pinning, leaves, moments
from core.workload import Workload

WALKERS, STEPS, KEPT = 64, 300, 3  # steps of each walker; every so many is kept of the second half
MOST_FITTED_ROWS = 12  # that are fitted: what happens between close rows is one process seen again
STRETCH = 2.0  # Goodman and Weare's a
PRIOR_SPREAD = np.log(
    [2.0, 2.0, 4.0]
)  # standard deviations of logarithms: slab, page cache (95 %: within 4 times), turnover
CHURN_BOUNDS_HZ = (1e-5, 100.0)  # one memcg a day to a hundred a second
UP_BOUNDS_S = (60.0, 3e7)  # a minute to a year; where uptime is not known
MODEL_ERROR = 0.03  # of the closed form's mean against the simulation's, relative
WEIGHT_ERROR = 0.15  # of bytes per dying memcg: other things of the host move with them


@dataclass(frozen=True, kw_only=True)
class Observations:
    """What is known of a host.

    times_s and dying have a value a row, times from the first on. Rates and bytes are pairs of a value and its standard
    error; None where nothing was seen.
    """

    times_s: Numbers
    dying: Numbers
    live_too: bool  # dying counts live memcgs as well, of which nothing is known
    up_s: float | None  # at the first row
    churn_hz: tuple[float, float] | None
    slab_bytes: tuple[float, float] | None  # per dying memcg


@dataclass(frozen=True, kw_only=True)
class Kind:
    """What the host's kernel makes of leftovers."""

    pinning: Pinning
    bytes_by_slab: float  # of slab, of a dying memcg that slab pins
    bytes_by_page_cache: float  # of slab, of one that only page cache pins


@dataclass(frozen=True)
class Fitted:
    """Draws from the posterior; every array has shape `[draws]`."""

    hosts: Hosts
    by_slab: Numbers  # share of removed cgroups that leave something in a kmem_cache that pins them
    by_page_cache: Numbers
    zombies_hz: Numbers  # units that are removed and stay dying, per second


def fit(load: Workload, turnover_s: float, kind: Kind, seen: Observations, seed: int, draws: int) -> Fitted:
    """Return draws from what the host may be.

    load: what the leftovers are factors on. turnover_s: of its page cache, what the prior is centred on. Raises
    ValueError for no row.
    """
    if not seen.times_s.size:
        raise ValueError("rows must be at least one (got none)")
    rng = np.random.default_rng(seed)
    target = _Target(load, turnover_s, kind, _thinned(seen))
    walkers = target.start(rng)
    kept = []
    score = target.score(walkers)
    for step in range(STEPS):
        for half in (slice(None, None, 2), slice(1, None, 2)):
            other = walkers[1::2] if half.start is None else walkers[::2]
            _stretch(walkers, score, half, other, target, rng)
        if step >= STEPS // 2 and step % KEPT == 0:
            kept.append(walkers.copy())
    sample = np.concatenate(kept)
    return target.fitted(sample[rng.choice(len(sample), draws, replace=False)])


def chance_of(load: Workload, kind: Kind, seen: Observations, hosts: Hosts) -> float:
    """Return the chance of rows as far off as these, on that one of the hosts that they fit best.

    It is small where no host can have made them: churn that began, ended or changed since boot.
    """
    rows = _thinned(seen)
    off, covariance = _off(load, moments(load, hosts, rows.times_s, kind.pinning), rows, hosts)
    distance = (off * np.linalg.solve(covariance, off)).sum(axis=(1, 2))
    return float(gammaincc(rows.times_s.size / 2, distance.min() / 2))  # chi-square's


def interval(draws: Numbers) -> tuple[float, float, float]:
    """Return median, lower and upper end of the 95 % interval."""
    middle, low, high = np.quantile(draws, [0.5, 0.025, 0.975])
    return float(middle), float(low), float(high)


def slope(times_s: Numbers, dying: Numbers, held: Numbers) -> tuple[float, float] | None:
    """Return what `held` grows by with each dying memcg, and its standard error; None where dying did not change.

    A line in time is taken out of both where there are rows enough, for much on a host grows with time.
    """
    columns = [np.ones(dying.size), dying] + ([times_s] if dying.size > 4 else [])
    design = np.column_stack(columns)
    if dying.size < 4 or np.linalg.matrix_rank(design) < design.shape[1]:
        return None
    solution, *_ = np.linalg.lstsq(design, held, rcond=None)
    left = held - design @ solution
    variance = left @ left / (dying.size - design.shape[1]) * np.linalg.inv(design.T @ design)
    return float(solution[1]), float(np.sqrt(variance[1, 1]))


def _stretch(  # one half moves along lines to walkers of the other
    walkers: Numbers, score: Numbers, half: slice, other: Numbers, target: _Target, rng: np.random.Generator
) -> None:
    mine = walkers[half]
    towards = other[rng.integers(0, len(other), len(mine))]
    length = ((STRETCH - 1.0) * rng.random(len(mine)) + 1.0) ** 2 / STRETCH
    proposed = towards + length[:, None] * (mine - towards)
    at = target.score(proposed)
    gain = (walkers.shape[1] - 1) * np.log(length) + at - score[half]
    moves = np.log(rng.random(len(mine))) < gain
    walkers[half] = np.where(np.expand_dims(moves, 1), proposed, mine)
    score[half] = np.where(moves, at, score[half])


def _thinned(seen: Observations) -> Observations:
    rows = np.unique(
        np.linspace(0, seen.times_s.size - 1, min(seen.times_s.size, MOST_FITTED_ROWS)).round().astype(int)
    )
    return Observations(
        times_s=seen.times_s[rows],
        dying=seen.dying[rows],
        live_too=seen.live_too,
        up_s=seen.up_s,
        churn_hz=seen.churn_hz,
        slab_bytes=seen.slab_bytes,
    )


def _off(load: Workload, found: Moments, seen: Observations, hosts: Hosts) -> tuple[Numbers, Numbers]:
    """Return how far off the rows are from the mean of hosts, `[hosts, rows, 1]`, and its covariance."""
    n = seen.times_s.size
    scale = MODEL_ERROR * found.mean[:, :, None] * MODEL_ERROR * found.mean[:, None, :]
    covariance = found.covariance + scale + 0.25 * np.eye(n)  # rows are whole numbers
    off = (seen.dying - found.mean)[:, :, None]
    if seen.live_too:
        some = seen.dying.min() / 2  # live memcgs: anything between none and all of the first
        off = off - some
        covariance = covariance + some**2 + (hosts.churn_hz * load.lifetime_s)[:, None, None] * np.eye(n)
    return off, covariance


class _Target:
    """Prior times likelihood; a walker is logarithms of churn, factors of slab, page cache and turnover, and uptime."""

    def __init__(self, load: Workload, turnover_s: float, kind: Kind, seen: Observations) -> None:
        self.load, self.kind, self.seen = load, kind, seen
        self.turnover_s = turnover_s
        self.low, self.high = np.log([CHURN_BOUNDS_HZ[0], UP_BOUNDS_S[0]]), np.log([CHURN_BOUNDS_HZ[1], UP_BOUNDS_S[1]])

    def start(self, rng: np.random.Generator) -> Numbers:
        """Walkers drawn from the prior, those kept that fit best."""
        many = 24 * WALKERS
        drawn = np.column_stack(
            [
                rng.uniform(self.low[0], self.high[0], many),
                rng.normal(0.0, 1.0, (many, 3)) * PRIOR_SPREAD,
                rng.uniform(self.low[1], self.high[1], many),
            ]
        )
        if self.seen.churn_hz is not None:
            value, error = self.seen.churn_hz
            drawn[:, 0] = np.log(np.maximum(value + error * rng.normal(size=many), CHURN_BOUNDS_HZ[0] * 1.01))
        parts = [self.score(part) for part in np.array_split(drawn, 24)]
        best = np.argsort(-np.concatenate(parts), kind="stable")[:WALKERS]
        return np.asarray(drawn[best])

    def hosts(self, walkers: Numbers) -> Hosts:
        """Return the hosts that walkers stand for."""
        churn_hz, slab, page_cache, turnover, up_s = np.exp(walkers.T)
        known = np.full(up_s.shape, self.seen.up_s) if self.seen.up_s is not None else up_s
        return Hosts(churn_hz, slab, page_cache, turnover * self.turnover_s, known)

    def score(self, walkers: Numbers) -> Numbers:
        """Return the logarithm of the posterior, up to a constant; `[walkers]`."""
        edges = walkers[:, [0, 4]]
        inside = np.all((edges > self.low) & (edges < self.high), axis=1) & np.all(np.abs(walkers) < 30, axis=1)
        safe = np.where(inside[:, None], walkers, 0.0)
        safe[~inside] = [log(0.01), 0, 0, 0, log(86400.0)]
        result = -((safe[:, 1:4] / PRIOR_SPREAD) ** 2).sum(axis=1) / 2 + self._likelihood(self.hosts(safe))
        return np.asarray(np.where(inside, result, -np.inf))

    def _likelihood(self, hosts: Hosts) -> Numbers:
        seen, kind = self.seen, self.kind
        found = moments(self.load, hosts, seen.times_s, kind.pinning)
        off, covariance = _off(self.load, found, seen, hosts)
        whitened = np.linalg.solve(covariance, off)
        result = -0.5 * ((off * whitened).sum(axis=(1, 2)) + np.linalg.slogdet(covariance)[1])
        if seen.churn_hz is not None:
            result -= 0.5 * ((hosts.churn_hz - seen.churn_hz[0]) / seen.churn_hz[1]) ** 2
        if seen.slab_bytes is not None:
            value, error = seen.slab_bytes
            model = kind.bytes_by_page_cache + (kind.bytes_by_slab - kind.bytes_by_page_cache) * found.by_slab
            result -= 0.5 * (value - model) ** 2 / (error**2 + (WEIGHT_ERROR * model) ** 2)
        return np.asarray(result)

    def fitted(self, walkers: Numbers) -> Fitted:
        """Return what walkers say."""
        return described(self.load, self.kind, self.hosts(walkers))


def described(load: Workload, kind: Kind, hosts: Hosts) -> Fitted:
    """Return hosts with the shares of their cgroups that stay dying."""
    slab, page_cache, stays = leaves(load, hosts, kind.pinning)
    return Fitted(hosts, slab, page_cache, hosts.churn_hz * stays)


def unseen(load: Workload, turnover_s: float, kind: Kind, seed: int, draws: int) -> Fitted:
    """Return draws from what a host may be of which nothing was seen."""
    rng = np.random.default_rng(seed)
    churn, up = (rng.uniform(log(low), log(high), draws) for low, high in (CHURN_BOUNDS_HZ, UP_BOUNDS_S))
    factors = rng.normal(0.0, 1.0, (draws, 3)) * PRIOR_SPREAD
    nothing = Observations(
        times_s=np.zeros(1), dying=np.zeros(1), live_too=False, up_s=None, churn_hz=None, slab_bytes=None
    )
    return _Target(load, turnover_s, kind, nothing).fitted(np.column_stack([churn, factors, up]))
