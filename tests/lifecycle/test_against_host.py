"""The lifecycle against an object-by-object host in continuous time, which draws for itself."""

from dataclasses import replace
from random import Random

import numpy as np
import pytest
from reference.lifecycle import Host
from small import DAY_S, drawn, leftover, small_point

from core.pinning import SAMPLES, pin
from core.workload import PAGE_CACHE

HOSTS, SCENARIOS = 60, 120
Z = 5.0  # standard errors: a case compares some 50 means, and is out by chance once in 35 000 runs
STEP_BIAS = 0.02  # what is read at the ends of 512 steps: ages and lifetimes are off by a quarter of a step at most


@pytest.mark.slow
@pytest.mark.parametrize("design", ["page_ref", "reparent_percpu", "objcg"])
@pytest.mark.parametrize("cpus", [1, 16])
def test_means_agree_with_a_host_in_continuous_time(design, cpus):
    """All counts at four times of a day have the independent simulator's means. False alarms: 1 in 35 000 a case."""
    point = small_point(
        leftovers={
            "dentry": leftover(private=0.5, private_turnovers=3, common=40, common_touch=0.05, common_turnovers=1.0),
            "ext4_inode_cache": leftover(private=1.5, private_turnovers=0.7),
            PAGE_CACHE: leftover(private=0.3, private_turnovers=0.5, common=10, common_touch=0.02, common_turnovers=1),
        },
        load={"lifetime_s": 1500.0, "lifetime_sigma": 1.0, "cache_creation_s": 200.0},
        churn_hz=0.005,
        design=design,
        cpus=cpus,
    )
    at = np.array([SAMPLES // 8, SAMPLES // 4, SAMPLES // 2, SAMPLES]) - 1
    times_s = (at + 1) * DAY_S / SAMPLES
    ours = []
    for seed in range(SCENARIOS):
        population, rules = drawn(replace(point, seed=seed))
        samples, _, _ = pin(population, rules)
        ours.append(np.column_stack([samples[at], population.online[(at + 1) * 8 - 1]]))
    theirs = [Host(Random(seed), point.workload, rules, point.churn_hz, 4 / DAY_S).at(times_s) for seed in range(HOSTS)]

    mean, expected = np.mean(ours, axis=0), np.mean(theirs, axis=0)
    error = np.sqrt(np.var(ours, axis=0, ddof=1) / SCENARIOS + np.var(theirs, axis=0, ddof=1) / HOSTS)

    assert np.all(np.abs(mean - expected) <= Z * error + STEP_BIAS * expected + 1e-9)
    assert np.count_nonzero(expected) >= 4 * 6
