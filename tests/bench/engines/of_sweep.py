"""This project's engine: `python of_sweep.py POINTS CORES FOLDER` prints the seconds it took, rows landed."""

import sys
import time
from dataclasses import dataclass, fields
from functools import partial
from pathlib import Path

import pyarrow as pa
import yaml
from point import cost

import conf
from sweep.engine import executors
from sweep.engine.compact import compact
from sweep.engine.loop import Outcome, Policy, drive
from sweep.engine.progress import Progress
from sweep.engine.ranges import Ranges
from sweep.engine.store import Store
from sweep.version import core_digest


@dataclass(frozen=True)
class Costs:
    """A row per seed."""

    tables = ("points",)
    grains = (1,)
    per_node = False

    def features(self, position):  # noqa: ARG002
        return ()

    def settings(self, position):
        return {"seed": position}

    def work(self, start, stop):
        return {"points": pa.table({"seed": range(start, stop), "cost": [cost(seed) for seed in range(start, stop)]})}


def drive_seeds(start, stop, job, executor):
    """Run a stretch of seeds as a sweep would, with the policy that sweeps have."""
    config = yaml.safe_load(Path(conf.__path__[0], "cluster", "_policy.yaml").read_text())
    policy = Policy(**{field.name: config[field.name] for field in fields(Policy)})
    with Progress(stop - start, 0) as progress:
        drive(job, Ranges([(start, stop)]), executor, policy, progress, outcome := Outcome())
    assert not outcome.failed


if __name__ == "__main__":
    points, cores, folder = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
    job = Costs()
    executor = executors.start_executor({"kind": "local", "cores": cores}, job, folder, core_digest())
    drive_seeds(points, points + 2 * cores, job, executor)  # every worker is up after this
    began = time.perf_counter()
    drive_seeds(0, points, job, executor)
    store = Store(folder)
    files = compact(store, job.tables, 1, store.parts("points"), partial(executor.each, retries=2))
    print(time.perf_counter() - began)
    executor.close()
    assert sum(file["rows"] for file in files) == points + 2 * cores
