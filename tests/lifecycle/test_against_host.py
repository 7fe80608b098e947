"""The lifecycle against an object-by-object host in continuous time, which draws for itself."""

from dataclasses import replace
from random import Random

import numpy as np
import pytest

from core.lifecycle.books import SAMPLES
from core.lifecycle.leftovers import DYING, OWN_OBJECTS, ROOT_OBJECTS, SHARED_OBJECTS, state
from core.lifecycle.pinning import pin
from core.lifecycle.reuse import take_over
from core.lifecycle.seats import Charges
from core.workload import PAGE_CACHE, Pin
from tests.reference.lifecycle import Host
from tests.reference.reuse import ReusingHost
from tests.support.small import DAY_S, drawn, leftover, pins, small_point

HOSTS, SCENARIOS = 60, 120
Z = 5.0  # standard errors: a case compares some 50 means, and is out by chance once in 35 000 runs
MIB = 2**20
STEP_BIAS = 0.02  # what is read at the ends of 512 steps: ages and lifetimes are off by a quarter of a step at most
REUSE_BIAS = 0.04  # any memcg online is as likely to go as the next one: lifetimes are not followed there


@pytest.mark.slow
@pytest.mark.parametrize("design", ["page_ref", "reparent_percpu", "objcg"])
@pytest.mark.parametrize("cpus", [1, 16])
def test_means_agree_with_a_host_in_continuous_time(design, cpus):
    """All counts at four times of a day have the independent simulator's means. False alarms: 1 in 35 000 a case."""
    point = small_point(
        leftovers={
            "dentry": leftover(private=0.5, private_turnovers=3, common=40, common_touch=0.05, common_turnovers=1.0),
            "inode_cache": leftover(chance=0.3, private_turnovers=2),
            "ext4_inode_cache": leftover(private=1.5, private_turnovers=0.7),
            PAGE_CACHE: leftover(private=0.3, private_turnovers=0.5, common=10, common_touch=0.02, common_turnovers=1),
        },
        load={
            "lifetime_s": 1500.0,
            "lifetime_sigma": 1.0,
            "cache_creation_s": 200.0,
            "stray_tasks": 0.05,
            "stray_task_s": 7200.0,
            "pins": pins(socket=Pin(chance=0.1, hold_s=20000.0), swap=Pin(chance=0.05, hold_s=9000.0)),
        },
        churn_hz=0.005,
        design=design,
        cpus=cpus,
    )
    at = np.array([SAMPLES // 8, SAMPLES // 4, SAMPLES // 2, SAMPLES]) - 1
    times_s = (at + 1) * DAY_S / SAMPLES
    ours = []
    for seed in range(SCENARIOS):
        population, rules = drawn(replace(point, seed=seed))
        samples = pin(population, rules).samples
        ours.append(np.column_stack([samples[at], population.online[(at + 1) * 8 - 1]]))
    theirs = [Host(Random(seed), point.workload, rules, point.churn_hz, 4 / DAY_S).at(times_s) for seed in range(HOSTS)]

    mean, expected = np.mean(ours, axis=0), np.mean(theirs, axis=0)
    error = np.sqrt(np.var(ours, axis=0, ddof=1) / SCENARIOS + np.var(theirs, axis=0, ddof=1) / HOSTS)

    assert np.all(np.abs(mean - expected) <= Z * error + STEP_BIAS * expected + 1e-9)
    assert np.count_nonzero(expected) >= 4 * 6


@pytest.mark.slow
@pytest.mark.parametrize(
    ("lifetime_s", "lifetime_sigma", "churn_hz", "limit_mib"),
    [(300.0, 1.0, 0.05, 1e6), (300.0, 1.0, 0.05, 30.0), (3000.0, 0.0, 0.02, 1e6), (5.0, 1.0, 0.8, 1e6)],
)
def test_reuse_agrees_with_a_host_in_continuous_time(lifetime_s, lifetime_sigma, churn_hz, limit_mib):
    """Dead memcgs, leftovers on them and on others, and fairness have the independent simulator's means.

    The last case has more comings in a step than are followed one by one. False alarms: 1 in 120 000 a case.
    """
    kinds = {
        "dentry": leftover(
            private=0.3 if lifetime_s > 5 else 0.02,
            private_turnovers=3,
            common=40,
            common_touch=0.05,
            common_turnovers=1.0,
        ),
        PAGE_CACHE: leftover(private=0.3 if lifetime_s > 5 else 0.01, private_turnovers=0.5),
    }
    point = small_point(
        leftovers=kinds,
        load={"lifetime_s": lifetime_s, "lifetime_sigma": lifetime_sigma, "cache_creation_s": 0.0},
        design="reuse_dead",
        churn_hz=churn_hz,
    )
    at = np.array([SAMPLES // 8, SAMPLES // 4, SAMPLES // 2, SAMPLES]) - 1
    own_mib, ours, theirs = 10.0, [], []
    for seed in range(SCENARIOS):
        population, rules = drawn(replace(point, seed=seed))
        charges = Charges(np.array([0, 0]), np.array([MIB, MIB]), own_mib * MIB, limit_mib * MIB, churn_hz * lifetime_s)
        (samples, *_), fair = take_over(population, rules, charges)
        on_dead, refilled, of_root = (
            samples[at, state(which, 0, 2)] for which in (OWN_OBJECTS, SHARED_OBJECTS, ROOT_OBJECTS)
        )
        ours.append([*np.column_stack([samples[at, DYING], on_dead, refilled + of_root]).ravel(), *fair[:3]])
    for seed in range(HOSTS):
        host = ReusingHost(
            Random(seed), point.workload, rules, churn_hz, 4 / DAY_S,
            weigh=lambda held: MIB * (held.count(1) + -(-held.count(0) // int(rules.slab_objects[0]))),
            own_bytes=own_mib * MIB, limit_bytes=limit_mib * MIB,
        )  # fmt: skip
        theirs.append([*np.ravel(host.at((at + 1) * DAY_S / SAMPLES)), *host.fairness()])

    mean, expected = np.mean(ours, axis=0), np.mean(theirs, axis=0)
    error = np.sqrt(np.var(ours, axis=0, ddof=1) / SCENARIOS + np.var(theirs, axis=0, ddof=1) / HOSTS)

    assert np.all(np.abs(mean - expected) <= Z * error + REUSE_BIAS * expected + 1e-9)
    assert (mean[-1] > 0) == (limit_mib < 100)  # forced reclaims
