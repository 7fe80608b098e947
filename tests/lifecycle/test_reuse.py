"""Taking over dead memcgs: how many seats there are, and what is inherited."""

from dataclasses import replace

import numpy as np

from core.lifecycle.leftovers import DYING, OWN_OBJECTS, SHARED_OBJECTS, state
from core.lifecycle.reuse import take_over
from core.lifecycle.seats import Charges
from core.workload import PAGE_CACHE
from tests.support.small import DAY_S, drawn, leftover, small_point

MIB = 2**20


def charges(*, own_mib=0.0, limit_mib=1024.0, slabs=(1,), slab_mib=(1.0,), mean_online=1.0):
    """A memcg's charges in MiB."""
    return Charges(np.array(slabs), np.array(slab_mib) * MIB, own_mib * MIB, limit_mib * MIB, mean_online)


def test_seats_are_bounded_by_the_peak_of_memcgs_online():
    """However many leftovers come, dead memcgs never exceed what was online at once."""
    point = small_point(
        leftovers={"dentry": leftover(private=2.0, private_turnovers=1e6)}, design="reuse_dead", churn_hz=0.2
    )
    population, rules = drawn(point)

    (samples, *_), _ = take_over(population, rules, charges())

    peak = population.online.max()
    assert population.followed.key.size > 100 * peak
    assert samples[:, DYING].max() <= peak + 1


def test_nothing_is_lost_nor_counted_twice():
    """Without reclaim every leftover of a memcg that went is on one seat's slabs, the dead ones' or the others'."""
    point = small_point(
        leftovers={"dentry": leftover(private=1.0, private_turnovers=1e6)}, design="reuse_dead", churn_hz=0.02
    )
    population, rules = drawn(point)

    (samples, *_), _ = take_over(population, rules, charges())

    left = population.followed.left_start[population.followed.off_start[-1]]  # of the memcgs that went
    ticks_left = population.followed.left_ticks.min()
    assert ticks_left > 2048
    assert samples[-1, state(OWN_OBJECTS, 0, 1)] + samples[-1, state(SHARED_OBJECTS, 0, 1)] == left


def test_a_single_seat_inherits_all():
    """One memcg at a time, one MiB left behind by each, never reclaimed: the n-th inherits min(n, its slabs) MiB."""
    point = small_point(
        leftovers={PAGE_CACHE: leftover(private=1.0, private_turnovers=1e6)},
        load={"lifetime_s": 1.0, "lifetime_sigma": 0.0},
        design="reuse_dead",
        churn_hz=0.002,
    )
    population, rules = drawn(point)

    _, fair = take_over(population, rules, charges(limit_mib=1e6, slabs=(0,), mean_online=0.002))

    files = population.followed.left_kind.size
    assert 0.4 * files < fair.inherited_bytes / MIB < 0.6 * files  # grows from none to all of them
    assert fair.over_half == fair.forced_reclaims == 0


def test_charges_over_the_limit_are_reclaimed_first():
    """Where leftovers and the memcg's own do not fit its limit, new cgroups force reclaim and start lighter."""
    point = small_point(
        leftovers={PAGE_CACHE: leftover(private=1.0, private_turnovers=1e6)},
        load={"lifetime_s": 1.0, "lifetime_sigma": 0.0},
        design="reuse_dead",
        churn_hz=0.02,
    )
    population, rules = drawn(point)

    roomy = take_over(population, rules, charges(limit_mib=1e6, slabs=(0,)))[1]
    tight = take_over(population, rules, charges(limit_mib=20.0, own_mib=8.0, slabs=(0,)))[1]

    assert roomy.forced_reclaims == 0
    assert tight.forced_reclaims > 0
    assert tight.forced_bytes >= 12 * MIB * tight.forced_reclaims * population.arrivals.sum()
    assert tight.inherited_bytes < 30 * MIB < roomy.inherited_bytes
    assert 0 < tight.over_half < 1


def test_dead_memcgs_gather_when_fewer_are_online():
    """Memcgs that all come at first and hold leftovers are dead once nobody is there to take them over."""
    point = small_point(
        leftovers={"dentry": leftover(private=3.0, private_turnovers=1e6)},
        load={"lifetime_s": DAY_S / 8, "lifetime_sigma": 0.0},
        design="reuse_dead",
        churn_hz=0.01,
    )
    population, rules = drawn(point)
    quiet = population.online.copy()
    quiet[256:] = 0

    (samples, *_), _ = take_over(population._replace(online=quiet), rules, charges())

    assert samples[-1, DYING] > 50


def test_draws_are_paired_with_those_of_other_designs():
    """Doing it again gives the same, whatever the machine was asked before."""
    point = small_point(leftovers={"dentry": leftover(private=1.0, common=5, common_touch=0.1)}, design="reuse_dead")
    population, rules = drawn(point)
    first = take_over(population, rules, charges())
    take_over(population, drawn(replace(point, cpus=64))[1], charges())

    again = take_over(population, rules, charges())

    np.testing.assert_array_equal(first[0].samples, again[0].samples)
    assert first[1] == again[1]
