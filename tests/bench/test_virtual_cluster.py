"""The engine's loop on 10,000 cores and 1e8 points, in virtual time."""

import resource

import pytest

from tests.support.virtual import Virtual, driven
from tests.sweep.engine.test_many_cores import Long


@pytest.mark.bench
@pytest.mark.parametrize(
    ("points", "cores"),
    [
        (1_000_000, 1_000),
        (10_000_000, 1_000),
        pytest.param(100_000_000, 10_000, marks=pytest.mark.slow),  # a minute
    ],
)
def test_a_large_cluster(points, cores, capsys):
    """With one task in a thousand lost and one worker in a thousand slow, cores are busy and the driver keeps up."""
    job = Long(points)
    on = driven(job, points, Virtual(cores, job.seconds, lost=0.001, slow=0.001))
    with capsys.disabled():
        print(
            f"\n{points:,} points on {cores:,} cores: {on.tasks:,} tasks in {on.wall_s:,.0f} s of virtual time, "
            f"{on.tasks / on.wall_s:,.0f} a second; efficiency {on.efficiency:.2f}; driver and clock "
            f"{1e3 * on.driver_s / on.tasks:.2f} ms a task, {on.driver_s / on.wall_s:.0%} of a core, "
            f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10} MiB at most"
        )

    assert on.outcome.rows == points
    assert on.efficiency > 0.75
