"""Jobs that need no simulation: what the engine does is seen best when the work is trivial."""

from __future__ import annotations

import ast
import json
import os
import signal
import sys
import time
from dataclasses import dataclass
from functools import partial

import numpy as np
import pyarrow as pa

from sweep.engine import compact as compacting
from sweep.engine import executors
from sweep.engine.compact import compact, make, run_digest
from sweep.engine.loop import Outcome, Policy, drive
from sweep.engine.progress import Progress
from sweep.engine.ranges import missing
from sweep.engine.store import Store
from sweep.version import core_digest


@dataclass(frozen=True)
class Squares:
    """A row per position and three rows per group of `grain`; it may fail, or die, where it is told to."""

    length: int
    grain: int = 10
    poisoned: tuple[int, ...] = ()
    deadly: tuple[int, ...] = ()
    seconds: float = 0.0
    tables = ("series", "points")
    inputs = ""
    per_node = False

    @property
    def grains(self):
        return (1, self.grain)

    def positions(self, nodes):
        return self.length

    def count(self):
        return self.length

    def features(self, position):
        return ()

    def settings(self, position):
        return {"position": position}

    def work(self, start, stop):
        time.sleep(self.seconds * (stop - start))
        positions = np.arange(start, stop)
        if set(self.deadly) & set(positions.tolist()):
            os.kill(os.getpid(), signal.SIGKILL)
        bad = set(self.poisoned) & set(positions.tolist())
        if bad:
            raise ZeroDivisionError(f"position {min(bad)}")
        groups = np.unique(positions // self.grain)
        return {
            "points": pa.table({"position": positions, "square": positions**2}),
            "series": pa.table({"group": np.repeat(groups, 3), "t": np.tile(np.arange(3), groups.size)}),
        }


def make_or_die(note, file):
    """Make a file of a table, but for the first, whose worker dies."""
    try:
        os.close(os.open(note, os.O_CREAT | os.O_EXCL))
    except FileExistsError:
        return make(file)
    return os.kill(os.getpid(), signal.SIGKILL)


def compacted(store, job, executor, dies):
    """Compact as a driver would; `dies`: '', or who dies after the first file, 'worker' or 'driver'."""

    def each(do, files):
        makes = do is make
        do = partial(make_or_die, f"{store.root}/died") if makes and dies == "worker" else do
        for made in executor.each(do, files, 2):
            yield made
            if makes and dies == "driver":
                os.kill(os.getpid(), signal.SIGKILL)

    return compact(store, job.tables, job.grain, store.parts("points"), each)


def main(root, kind, address, length, *options):
    """Run squares as a driver would: `python -m tests.support.toys ROOT KIND ADDRESS LENGTH [FIELD=VALUE...]`."""
    fields = {name: ast.literal_eval(value) for name, _, value in (option.partition("=") for option in options)}
    cores, dies = fields.pop("cores", None), fields.pop("dies", "")
    compacting.ROWS_PER_FILE = fields.pop("rows_per_file", compacting.ROWS_PER_FILE)
    job = Squares(int(length), **fields)
    executor = executors.start_executor({"kind": kind, "address": address, "cores": cores}, job, root, core_digest())
    store = Store(root)
    try:
        done = store.parts("points")
        todo = missing(done, job.length)
        outcome = Outcome()
        with Progress(job.length, job.length - len(todo)) as progress:
            drive(job, todo, executor, Policy(0.05, 2, 2, 100), progress, outcome)
        files = compacted(store, job, executor, dies)
    finally:
        executor.close()
    found = {table: run_digest(store, table) for table in job.tables}
    print(json.dumps({"failed": outcome.failed, "digests": found, "nodes": executor.nodes, "tasks": outcome.tasks,
                      "files": files}))  # fmt: skip


if __name__ == "__main__":
    main(*sys.argv[1:])
