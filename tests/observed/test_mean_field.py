"""Dying memcgs in closed form: against what can be worked by hand, and against the simulation."""

from dataclasses import replace

import numpy as np
import pytest

from core.lifecycle.age import age
from core.observed.mean_field import Hosts, Pinning, leaves, moments
from core.workload import Leftover
from tests.support.points import default_point

DAY_S = 86400.0
REPLICATES = 24
SIGMAS = 4.0  # of 24 means of 4 times, three cases: a false alarm once in a thousand
MODEL = 0.03  # relative, beside chance: common objects one by one, reclaim that gets faster


def host(churn_hz, turnover_s, up_s):
    """Return one host with the workload's own leftovers."""
    one = np.ones(1)
    return Hosts(one * churn_hz, one, one, one * turnover_s, one * up_s)


@pytest.fixture
def files():
    """Return a workload whose memcgs leave 0.1 files behind on average, and nothing else."""
    load = default_point(workload="web_frontend").workload
    page = Leftover(private=0.1, private_turnovers=2.0, common=0, common_touch=0, common_turnovers=1)
    return replace(load, lifetime_s=1.0, leftovers={"page_cache": page})


def test_one_kind_by_hand(files):
    """Arrivals times the integral of the chance to be pinned, and what two times share is who is there at both."""
    times_s, tau_s = np.array([0.0, 5e4]), 2 * 3600.0
    found = moments(files, host(0.1, 3600.0, 1e5), times_s, Pinning(slab=True, page_cache=True, held=()))

    ages = np.linspace(0.0, 1.5e5, 3_000_001)
    pinned = -np.expm1(-0.1 * np.exp(-ages / tau_s))
    step = ages[1]
    upto = np.cumsum(0.1 * pinned) * step
    at = [np.searchsorted(ages, t) for t in (1e5, 1.5e5, 5e4)]
    assert found.mean[0] == pytest.approx([upto[at[0]], upto[at[1]]], rel=0.01)
    assert found.covariance[0, 0, 0] == pytest.approx(upto[at[0]], rel=0.01)
    assert found.covariance[0, 0, 1] == pytest.approx(upto[at[1]] - upto[at[2]], rel=0.02, abs=0.01)


def test_what_pins_nothing_leaves_nobody(files):
    """Where page cache pins no memcg, nobody is dying, and the share of cgroups that stay is 0."""
    found = moments(files, host(1.0, 3600.0, 1e5), np.zeros(1), Pinning(slab=True, page_cache=False, held=()))
    slab, page_cache, stays = leaves(files, host(1.0, 3600.0, 1e5), Pinning(slab=True, page_cache=False, held=()))

    assert found.mean[0, 0] == page_cache[0] == 0
    assert stays[0] == slab[0]


def test_the_share_that_stays_is_the_chance_of_one_object_or_more(files):
    """0.1 files on average: 1 - exp(-0.1)."""
    _, page_cache, stays = leaves(files, host(1.0, 3600.0, 1e5), Pinning(slab=False, page_cache=True, held=()))

    assert page_cache[0] == stays[0] == pytest.approx(1 - np.exp(-0.1))


@pytest.mark.parametrize(
    ("workload", "design", "churn_hz"),
    [("web_frontend", "page_ref", 0.01), ("containers", "page_ref", 0.01), ("containers", "objcg", 0.03)],
)
def test_means_are_those_of_the_simulation(workload, design, churn_hz):
    """Over ten days, the mean of replicates lies within chance and 3 % of the closed form."""
    point = default_point(
        workload=workload, design=design, churn_hz=churn_hz, duration_s=10 * DAY_S, folio_reparenting=False
    )
    seen = [age([replace(point, replicate=r)])[1] for r in range(REPLICATES)]
    at = [15, 31, 47, 63]
    dying = np.array([series["dying_memcgs"][at] for series in seen])
    times_s = seen[0]["t_s"][at]
    pressure = point.workload.pressure
    turnover_s = (pressure.memory_mib - pressure.in_use_mib) / pressure.refill_mib_s
    found = moments(
        point.workload,
        host(churn_hz, turnover_s, times_s[0]),
        times_s - times_s[0],
        Pinning(slab=design == "page_ref", page_cache=True, held=()),
    )

    error = np.sqrt(np.diagonal(found.covariance[0]) / REPLICATES)
    assert np.all(np.abs(dying.mean(axis=0) - found.mean[0]) < SIGMAS * error + MODEL * found.mean[0])


def test_a_chance_and_what_reclaim_does_not_end_by_hand(files):
    """A fifth leave a file, a tenth a socket for 1,000 s: 1 - 0.8 * 0.9 stay, 10 by the socket alone."""
    page = replace(files.leftovers["page_cache"], private=0.0, chance=0.2)
    load = replace(files, leftovers={"page_cache": page}, levels_per_unit=1)
    both = Pinning(slab=False, page_cache=True, held=((0.1, 1000.0),))
    _, page_cache, stays = leaves(load, host(0.1, 3600.0, 1e5), both)
    alone = moments(load, host(0.1, 3600.0, 1e6), np.zeros(1), both._replace(page_cache=False))

    assert page_cache[0] == pytest.approx(0.2)
    assert stays[0] == pytest.approx(1 - 0.8 * 0.9)
    assert alone.mean[0, 0] == pytest.approx(0.1 * 0.1 * 1000, rel=0.04)


def test_a_unit_of_two_levels_counts_twice(files):
    """A pod's container holds its slice: twice the mean, four times the variance."""
    one = moments(files, host(0.1, 3600.0, 1e5), np.zeros(1), Pinning(slab=False, page_cache=True, held=()))
    pod = replace(files, memcgs_per_unit=3, levels_per_unit=2)
    two = moments(pod, host(0.1, 3600.0, 1e5), np.zeros(1), Pinning(slab=False, page_cache=True, held=()))

    assert two.mean[0, 0] == pytest.approx(2 * one.mean[0, 0])
    assert two.covariance[0, 0, 0] == pytest.approx(4 * one.covariance[0, 0, 0])
