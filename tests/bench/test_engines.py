"""Points per second of this engine and of its rivals, on one function: what orchestration costs."""

import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

import pytest

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
RIVALS = ROOT / ".venv-rivals" / "bin" / "python"
ENGINES = HERE / "engines"
POINTS, MANY, CORES, ROUNDS = 100, 20_000, 2, 3
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
    whole, one = (run(RIVALS, "of_hydra.py", *line, f"seed=range(0,{n})")[0] for n in (POINTS + 1, 1))
    return whole - one


QUIET = ("hydra.output_subdir=null", "hydra/job_logging=none", "hydra/hydra_logging=none")
OWN_RAY = ("address=local", f"num_cpus={CORES}", "include_dashboard=false")
INIT = tuple(f"++hydra.launcher.ray.init.{option}" for option in OWN_RAY)
SECONDS = {
    OURS: lambda folder: printed(sys.executable, "of_sweep.py", str(POINTS), str(CORES), folder),
    "Ray Tune, actors reused": lambda folder: printed(RIVALS, "of_tune.py", str(POINTS), str(CORES), "True", folder),
    "Hydra, joblib launcher": lambda folder: hydra(folder, "hydra/launcher=joblib", f"hydra.launcher.n_jobs={CORES}"),
    "Hydra, basic launcher": hydra,
    "Hydra, Ray launcher": lambda folder: hydra(folder, "hydra/launcher=ray", *INIT),
    "Ray Tune": lambda folder: printed(RIVALS, "of_tune.py", str(POINTS), str(CORES), "False", folder),
}


@pytest.mark.bench
@pytest.mark.skipif(not RIVALS.exists(), reason="the rivals are not installed: make .venv-rivals/installed")
def test_points_per_second(tmp_path):
    """This engine's rate is the highest, on the same points, cores and function; start-up is left out for all."""
    rounds = {name: [] for name in SECONDS}
    for number in range(ROUNDS):
        for name, seconds in SECONDS.items():
            folder = tmp_path / f"{number}-{name.replace(',', '').replace(' ', '-')}"
            folder.mkdir()
            rounds[name].append(POINTS / seconds(str(folder)))
    rates = {name: statistics.median(each) for name, each in rounds.items()}
    (tmp_path / "many").mkdir()
    many = MANY / printed(sys.executable, "of_sweep.py", str(MANY), str(CORES), str(tmp_path / "many"))
    bound = CORES * MANY / printed(sys.executable, "of_bound.py", str(MANY))

    print(f"\n{POINTS} points on {CORES} cores, points/s: median of {ROUNDS} rounds (least, most), times slower")
    for name, rate in rates.items():
        spread = f"({min(rounds[name]):,.1f}, {max(rounds[name]):,.1f})"
        print(f"{name:26}{rate:10,.1f}  {spread:20}{rates[OURS] / rate:8.1f}")
    print(f"{OURS} at {MANY:,} points: {many:,.0f}/s, {many / bound:.0%} of {CORES} cores with no engine at all")
    assert max(rates, key=rates.get) == OURS
