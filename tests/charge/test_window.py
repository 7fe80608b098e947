"""A window starts in the steady state: it does not matter how long it is."""

from dataclasses import replace

import numpy as np
import pytest

from core.charge.count import count
from core.designs import DESIGNS
from tests.support.points import default_point

ACCOUNTED = [name for name, design in DESIGNS.items() if design.accounts]
TOLERANCE = 0.03


def atomics(cpus, bursts, replicates):
    """Shared atomics and page charges of every accounted design, `[designs, replicates]` each."""
    base = default_point(cpus=cpus, churn_hz=0.0)
    mix = base.workload.charge
    mix = replace(mix, allocations_per_cpu=round(bursts * mix.burst_allocations))
    base = replace(base, workload=replace(base.workload, charge=mix))
    found = [
        count([replace(base, design=design, replicate=replicate) for design in ACCOUNTED])
        for replicate in range(replicates)
    ]
    return tuple(np.array([row[name] for row in found], np.float64).T for name in ("shared_atomics", "page_charges"))


def ratio(cpus, bursts, replicates):
    """Atomics per page charge of every design, and its standard error (of a ratio of sums)."""
    shared, charges = atomics(cpus, bursts, replicates)
    mean = shared.sum(axis=1) / charges.sum(axis=1)
    left = shared - mean[:, None] * charges
    return mean, left.std(axis=1, ddof=1) / charges.mean(axis=1) / np.sqrt(replicates)


@pytest.mark.slow
@pytest.mark.parametrize(("cpus", "replicates"), [(1, 48), (8, 16), (64, 6)])
def test_window_twice_as_long_has_the_same_atomics_per_charge(cpus, replicates):
    """Within 3 % and four standard errors, at fixed seeds; without a bias one design in 15,800 is further off."""
    short, short_error = ratio(cpus, 1, replicates)
    long, long_error = ratio(cpus, 2, replicates)

    apart = np.abs(long - short)
    assert (apart < TOLERANCE * short + 4 * np.hypot(short_error, long_error)).all(), dict(
        zip(ACCOUNTED, (apart / short).round(3).tolist(), strict=True)
    )
