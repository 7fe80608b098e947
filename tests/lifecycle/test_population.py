"""When memcgs come and go, against the theory of M/G/infinity."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from core.keys import canonical
from core.lifecycle.leaving import poisson_at_least_one
from core.lifecycle.population import STEPS, gone_by_step, populate
from core.rng import scenario_id
from core.workload import Pin
from tests.support.points import default_point
from tests.support.small import leftover, pins, small_point

Z = 4.5  # standard errors; a true mean is farther off once in 150 000 tests


def test_fates_of_memcgs_with_equal_lifetimes():
    """A memcg that lives for one and a half steps goes offline one or two steps later, evenly."""
    load = replace(small_point(leftovers={}).workload, lifetime_s=15.0, lifetime_sigma=0.0)

    chance = gone_by_step(load, step_s=10.0)

    np.testing.assert_allclose(chance[:4], [0.0, 0.5, 0.5, 0.0], atol=1e-12)


@pytest.mark.parametrize("sigma", [0.0, 0.7, 1.5])
@pytest.mark.parametrize("lifetime_s", [0.01, 40.0, 30_000.0])
def test_fates_are_a_distribution_with_the_right_mean(lifetime_s, sigma):
    """Chances add up to one; where all end in time, so does the mean number of steps to the lifetime."""
    load = replace(small_point(leftovers={}).workload, lifetime_s=lifetime_s, lifetime_sigma=sigma)

    chance = gone_by_step(load, step_s=100.0)

    assert chance.min() >= 0
    assert chance.sum() == pytest.approx(1, abs=1e-9)
    if lifetime_s < 100:
        assert chance @ np.arange(STEPS + 1) == pytest.approx(lifetime_s / 100, rel=2e-3)


@pytest.mark.parametrize("private", [0.0, 0.3, 3.0])
@pytest.mark.parametrize(("lifetime_s", "sigma"), [(20.0, 1.0), (4000.0, 1.0), (4000.0, 0.0)])
def test_littles_law(lifetime_s, sigma, private):
    """Online memcgs are as many as come in a lifetime, however many are followed. False alarms: 1 in 150 000 a case."""
    point = small_point(
        leftovers={"dentry": leftover(private=private)},
        load={"lifetime_s": lifetime_s, "lifetime_sigma": sigma},
        churn_hz=0.05,
    )
    settled = slice(STEPS // 2, None, max(1, int(3 * lifetime_s / (86400 / STEPS))))  # past the start, far apart
    online = np.concatenate([populate(replace(point, seed=seed)).online[settled] for seed in range(40)])

    expected = 0.05 * lifetime_s

    assert abs(online.mean() - expected) < Z * np.sqrt(1.3 * expected / online.size) + 0.01 * expected


def test_followed_and_counted_memcgs_are_all_that_come():
    """Arrivals are Poisson with the rate of churn: mean and variance agree. False alarms: 1 in 150 000 each."""
    point = small_point(leftovers={"dentry": leftover(private=0.4)}, churn_hz=0.2)
    totals = np.array([populate(replace(point, seed=seed)).arrivals.sum() for seed in range(200)])
    expected = 0.2 * 86400

    assert abs(totals.mean() - expected) < Z * np.sqrt(expected / totals.size)
    assert abs(totals.var(ddof=1) / expected - 1) < Z * np.sqrt(2 / totals.size)


def test_nobody_follows_a_memcg_that_leaves_nothing():
    """Cost does not grow with churn: at 1000 memcgs a second that leave nothing, none is followed."""
    population = populate(small_point(leftovers={"dentry": leftover(common=5, common_touch=0.1)}, churn_hz=1000.0))

    assert population.followed.key.size == 0
    assert population.arrivals.sum() > 80_000_000


def test_numbers_of_leftovers_are_poisson_given_that_there_are_some():
    """The mean of a Poisson number that is not 0 is mean / (1 - exp(-mean)). False alarms: 1 in 150 000 each."""
    for mean in (0.05, 1.0, 100.0):
        numbers = poisson_at_least_one(np.random.default_rng(1), mean, 100_000)
        expected = mean / -np.expm1(-mean)

        assert numbers.min() >= 1
        assert abs(numbers.mean() - expected) < Z * np.sqrt(mean / numbers.size)


def test_shares_of_what_is_left_by_chance_are_those_asked_for():
    """Of all memcgs, whatever else they leave, the shares that leave each thing are its chances.

    Poisson numbers keep their means. False alarms: 1 in 150 000 each.
    """
    leftovers = {"dentry": leftover(private=0.5, chance=0.3), "inode_cache": leftover(chance=0.05)}
    load = {"pins": pins(socket=Pin(chance=0.2, hold_s=60.0))}
    point = small_point(leftovers=leftovers, load=load, churn_hz=1.0)
    population = populate(point)
    arrivals, followed = int(population.arrivals.sum()), population.followed

    def share(times, expected):
        assert abs(times / arrivals - expected) < Z * np.sqrt(expected / arrivals)

    share(followed.key.size, 1 - np.exp(-0.5) * 0.7 * 0.95 * 0.8)
    share(np.count_nonzero(followed.left_kind == 0), 0.8)
    share(np.count_nonzero(followed.left_kind == 1), 0.05)
    share(followed.held_kind.size, 0.2)
    left = np.diff(followed.left_start) + np.diff(followed.held_start)
    assert left.min() >= 1


def test_a_new_key_at_its_neutral_value_leaves_the_draws_alone():
    """Chances of 0 and no pins are the scenario that it was without them."""
    point = small_point(leftovers={"dentry": leftover(private=0.4)})

    assert scenario_id(point) == scenario_id(
        replace(point, workload=replace(point.workload, pins=pins(), mounts=7, depth=9, memcgs_per_unit=2))
    )
    assert '"chance"' not in canonical(point, "scenario")


def test_too_many_leftovers_are_refused_in_one_line():
    """A scenario that would follow more than fits in memory says so, with the figure, before anything is drawn."""
    with pytest.raises(
        ValueError, match=r"must leave at most 20,000,000 objects .*got 1 a memcg, 8\.64e\+07.*churn_hz"
    ):
        populate(small_point(leftovers={"dentry": leftover(private=1.0)}, churn_hz=1000.0))


def test_design_and_machine_do_not_change_the_draws():
    """The scenario is the same whoever sees it."""
    point = small_point(leftovers={"dentry": leftover(private=0.4)})
    other = replace(point, design="objcg", cpus=256, batch=1)

    ours, theirs = (populate(each).followed for each in (point, other))
    for name, mine in (ours._asdict() | ours.alone._asdict()).items():
        if name != "alone":
            np.testing.assert_array_equal(mine, (theirs._asdict() | theirs.alone._asdict())[name])


def test_any_number_of_kinds_may_be_left_behind():
    """What becomes of a memcg that leaves one thing names that thing's kind, the last of more than 32 too."""
    caches = dict.fromkeys(default_point(kernel="linux-5.2").kernel.caches, 1)
    kinds = dict.fromkeys(caches, leftover(private=1 / len(caches)))
    followed = populate(small_point(leftovers=kinds, load={"caches": caches})).followed
    singles = np.tile(np.arange(4 * len(caches)), STEPS)
    single = np.repeat(singles, np.diff(followed.alone.start).ravel())
    memcg = followed.alone.memcg[: single.size]  # of those that go offline before the end

    assert followed.left_kind.max() == len(caches) - 1 > 31
    np.testing.assert_array_equal(single // 4, followed.left_kind[followed.left_start[memcg]])


def test_who_leaves_one_thing_is_told_apart_from_the_others():
    """Each memcg is one or the other, in the step in which it goes offline; those alike are in the order of ages."""
    kinds = {"dentry": leftover(private=0.1), "inode_cache": leftover(private=0.2)}
    followed = populate(small_point(leftovers=kinds, churn_hz=1.0)).followed
    alone, others = followed.alone, followed.others

    np.testing.assert_array_equal(np.sort([*alone.memcg, *others]), np.arange(followed.key.size))
    for step in range(STEPS):
        gone = range(followed.off_start[step], followed.off_start[step + 1])
        found = alone.memcg[alone.start[step, 0] : alone.start[step, -1]]
        rest = others[followed.others_start[step] : followed.others_start[step + 1]]
        np.testing.assert_array_equal(np.sort([*found, *rest]), gone)
        for first, stop in pairwise(alone.start[step]):
            assert (np.diff(alone.ticks[first:stop]) >= 0).all()
    np.testing.assert_array_equal(np.diff(followed.left_start)[alone.memcg], 1)
    np.testing.assert_array_equal(followed.left_ticks[followed.left_start[alone.memcg]], alone.ticks)
    assert alone.memcg.size > 10 < others.size
