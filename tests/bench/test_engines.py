"""Seconds a point in this engine and in its rivals, on one function: what orchestration costs."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.support import ROOT

RIVALS = ROOT / ".venv-rivals" / "bin" / "python"
ENGINES = Path(__file__).parent / "engines"
MANY, FEW, CORES, BATCH = 5_000, 50, 2, 250
OURS = "this engine"


def run(python, script, *line):
    """Run a script to its end; return the seconds it took and what it printed."""
    paths = os.environ | {"PYTHONPATH": os.pathsep.join([str(ENGINES), str(ROOT)])}
    began = time.perf_counter()
    done = subprocess.run([python, ENGINES / script, *line], capture_output=True, text=True, env=paths, timeout=900)
    assert done.returncode == 0, done.stderr
    return time.perf_counter() - began, done.stdout


def printed(python, script, *line):
    """Return the seconds that a script prints: those of the points, its engine being up."""
    return float(run(python, script, *line)[1].split()[-1])


def hydra(folder, *launcher):
    """Return the seconds of the points alone: a multirun of all and one more, less a multirun of one."""
    line = ("-m", f"hydra.sweep.dir={folder}", *QUIET, *launcher)
    whole, one = (run(RIVALS, "of_hydra.py", *line, f"seed=range(0,{n})")[0] for n in (FEW + 1, 1))
    return whole - one


def ours(points, folder):
    """Return the seconds that this engine takes for so many points, landed and compacted."""
    return printed(sys.executable, "of_sweep.py", str(points), str(CORES), folder)


QUIET = ("hydra.output_subdir=null", "hydra/job_logging=none", "hydra/hydra_logging=none")
OWN_RAY = ("address=local", f"num_cpus={CORES}", "include_dashboard=false")
INIT = tuple(f"++hydra.launcher.ray.init.{option}" for option in OWN_RAY)


@pytest.fixture
def folder(tmp_path):
    """Return a new folder each time."""
    numbers = iter(range(1000))

    def _folder():
        path = tmp_path / str(next(numbers))
        path.mkdir()
        return str(path)

    return _folder


@pytest.mark.bench
def test_beside_ray_by_hand(compete, folder):
    """Many points: within a third of Ray with batches cut by hand, which lands nothing, and ahead of a task a point."""
    rows = compete(
        f"{MANY:,} points of a millisecond on {CORES} cores",
        {
            OURS: lambda: ours(MANY, folder()),
            f"Ray, {BATCH} points a task, cut by hand": lambda: printed(
                sys.executable, "of_ray.py", str(MANY), str(CORES), str(BATCH)
            ),
            "Ray, a task a point": lambda: printed(sys.executable, "of_ray.py", str(MANY), str(CORES), "1"),
            "no engine: the function on one core, halved": lambda: (
                printed(sys.executable, "of_bound.py", str(MANY)) / CORES
            ),
        },
        rounds=3,
        unit="s",
        waited_for=False,
    )
    times = [row.times for row in rows]

    assert times[1] > 0.67
    assert times[2] > 1


@pytest.mark.bench
@pytest.mark.skipif(not RIVALS.exists(), reason="the rivals are not installed: make .venv-rivals/installed")
def test_beside_multiruns(compete, folder):
    """Few points: this engine is ahead of what Hydra and Tune start for each."""
    rows = compete(
        f"{FEW} points of a millisecond on {CORES} cores",
        {
            OURS: lambda: ours(FEW, folder()),
            "Ray Tune, actors reused": lambda: printed(RIVALS, "of_tune.py", str(FEW), str(CORES), "True", folder()),
            "Hydra, joblib launcher": lambda: hydra(
                folder(), "hydra/launcher=joblib", f"hydra.launcher.n_jobs={CORES}"
            ),
            "Hydra, basic launcher": lambda: hydra(folder()),
            "Hydra, Ray launcher": lambda: hydra(folder(), "hydra/launcher=ray", *INIT),
        },
        rounds=1,
        unit="s",
        waited_for=False,
    )

    assert min(row.times for row in rows[1:]) > 1
