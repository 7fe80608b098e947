"""The engine's loop on 10,000 cores and 1e8 points, in virtual time."""

import json
import resource
import sys

import pytest

from tests.bench.test_engines import run
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


@pytest.mark.bench
def test_what_a_task_takes_of_the_driver(compete):
    """The engine's own loop takes less of the driver than Ray does for the same task."""
    job = Long(1_000_000)

    def loop_ms():
        on = driven(job, job.length, Virtual(1000, job.seconds))
        return 1e3 * on.driver_s / on.tasks

    rows = compete(
        "CPU of the driver for a task",
        {
            "the engine's loop, and the clock of a cluster in virtual time": loop_ms,
            "Ray: to submit it and to fetch what it returns": lambda: json.loads(
                run(sys.executable, "of_driver.py", "5000")[1].splitlines()[-1]
            )["ms"],
        },
        rounds=1,
        unit="ms",
        waited_for=False,
    )

    assert rows[1].times > 1
