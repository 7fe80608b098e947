"""The fit of a host: known hosts come back, and what the rows do not tell stays wide."""

from dataclasses import replace

import numpy as np
import pytest

from core.lifecycle.age import age
from core.observed.fit import PRIOR_SPREAD, Kind, Observations, described, fit, interval, slope
from core.observed.mean_field import Hosts, Pinning
from core.workload import PAGE_CACHE
from tests.support.points import default_point

DAY_S = 86400.0
HOSTS = 100
KIND = Kind(pinning=Pinning(slab=True, page_cache=True, held=()), bytes_by_slab=2e4, bytes_by_page_cache=1e4)
TURNOVER_S = 6 * 3600.0


def base():
    """Return a point on a kernel whose slab pins memcgs."""
    return default_point(workload="web_frontend", kernel="linux-5.2", design="page_ref", folio_reparenting=False)


def made(number):
    """Return a host with known truth, drawn from the fit's own prior where a host is worth a look, and its days."""
    rng = np.random.default_rng(number)
    churn_hz = np.exp(rng.uniform(np.log(0.002), np.log(0.1)))
    slab, page_cache, turnover = np.exp(rng.normal(0.0, 1.0, 3) * PRIOR_SPREAD)
    truth = Hosts(*(np.array([value]) for value in (churn_hz, slab, page_cache, turnover * TURNOVER_S, DAY_S)))
    load = base().workload
    leftovers = {
        name: replace(
            left,
            private=left.private * (factor := page_cache if name == PAGE_CACHE else slab),
            common=round(left.common * factor),
        )
        for name, left in load.leftovers.items()
    }
    cache_mib = load.pressure.memory_mib - load.pressure.in_use_mib
    pressure = replace(load.pressure, refill_mib_s=cache_mib / truth.turnover_s[0])
    point = replace(
        base(),
        churn_hz=float(churn_hz),
        workload=replace(load, leftovers=leftovers, pressure=pressure),
        duration_s=10 * DAY_S,
        replicate=number,
    )
    series = age([point])[1]
    return truth, series["t_s"], series["dying_memcgs"].astype(np.float64)


def seen_of(times_s, dying, rows, **known):
    """Return what some rows of a host's days say."""
    nothing = {"live_too": False, "up_s": float(times_s[rows][0]), "churn_hz": None, "slab_bytes": None}
    return Observations(times_s=times_s[rows] - times_s[rows][0], dying=dying[rows], **nothing | known)


@pytest.mark.slow
def test_of_a_hundred_hosts_the_truth_lies_in_90_to_99_of_the_intervals():
    """Hosts made by the simulation, 2.5 days of 16 rows each: zombies a day and churn, each in a 95 % interval.

    A calibrated fit is outside 90 to 99 with a chance of 2 % (binomial, 100 at 0.95, twice).
    """
    hits = np.zeros(2)
    for number in range(HOSTS):
        truth, times_s, dying = made(number)
        found = fit(base().workload, TURNOVER_S, KIND, seen_of(times_s, dying, slice(4, 20)), number, 400)
        true = described(base().workload, KIND, truth)
        for at, (draws, value) in enumerate(
            ((found.zombies_hz, true.zombies_hz[0]), (found.hosts.churn_hz, truth.churn_hz[0]))
        ):
            _, low, high = interval(draws)
            hits[at] += low <= value <= high
    assert np.all((hits >= 90) & (hits <= 99)), hits


def test_three_rows_give_an_answer_with_a_wide_interval():
    """The published days 0 to 2, with nothing else known: the first days growth, and churn open."""
    days = np.array([0.0, 1.0, 2.0]) * DAY_S
    seen = seen_of(days, np.array([56.0, 362.0, 628.0]), slice(None), up_s=None)
    found = fit(base().workload, TURNOVER_S, KIND, seen, 1, 300)

    _, low, high = interval(found.zombies_hz * DAY_S)
    assert low < 320 < high
    _, least, most = interval(found.hosts.churn_hz)
    assert most > 5 * least


def test_a_known_churn_is_kept_and_tells_the_share():
    """Where mkdirs were counted, churn comes back as counted, and the share of zombies becomes narrow."""
    _, times_s, dying = made(3)
    seen = seen_of(times_s, dying, slice(4, 20), churn_hz=(0.02, 0.001))
    found = fit(base().workload, TURNOVER_S, KIND, seen, 1, 300)

    middle, low, high = interval(found.hosts.churn_hz)
    assert 0.017 < low < middle < high < 0.023


def test_a_fit_is_the_same_twice():
    """The walkers' draws come from the seed alone."""
    seen = seen_of(np.array([0.0, DAY_S]), np.array([10.0, 300.0]), slice(None))
    first, second = (fit(base().workload, TURNOVER_S, KIND, seen, 7, 50) for _ in range(2))

    assert np.array_equal(first.zombies_hz, second.zombies_hz)


def test_a_slope_has_the_trend_in_time_taken_out():
    """Bytes that grow by 100 a second and by 7,000 a dying memcg: 7,000 comes back, not what time adds to it."""
    rng = np.random.default_rng(1)
    times_s = np.arange(40.0)
    dying = 5 * times_s + rng.integers(0, 50, 40)
    held = 100 * times_s + 7000 * dying + rng.normal(0, 10, 40)
    value, error = slope(times_s, dying, held)

    assert abs(value - 7000) < 4 * error < 4
    assert slope(times_s, np.full(40, 3.0), held) is None
