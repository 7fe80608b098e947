"""A batch system that ends a job again and again: each try gets forward, and the last one ends the run."""

from __future__ import annotations

import subprocess
import sys

import pytest

from analysis.run import open_run
from sweep.errors import TERMINATED

LIMIT_S = 20  # what a try is given; a start takes some 5 s of it where code is compiled
TRIES = 40
COMMAND = [
    *("timeout", "-s", "TERM", str(LIMIT_S), sys.executable, "-m", "sweep", "+experiment=churn", "cluster=inline"),
    *("axes.cpus=[8,64]", "axes.churn_hz=[0.01,0.1,1]", "axes.batch=[32,64]", "replicates=8", "cluster.task_s=1"),
]


@pytest.mark.long
def test_a_run_that_is_stopped_again_and_again_ends(tmp_path):
    """Stopped by SIGTERM every 20 s: no try loses a point that an earlier one landed, and one of them ends with 0."""
    landed, statuses = [0], []
    while (not statuses or statuses[-1]) and len(statuses) < TRIES:
        statuses.append(subprocess.run([*COMMAND, f"out={tmp_path}"], capture_output=True, check=False).returncode)
        runs = [path.parent for path in tmp_path.glob("churn/*/manifest.json")]
        tables = [open_run(str(run)).tables() for run in runs]
        landed.append(sum(each["points"].count_rows() for each in tables if "points" in each))

    assert set(statuses[:-1]) <= {TERMINATED, 124}  # timeout says 124 where it had to end it
    assert statuses[-1] == 0
    assert landed == sorted(landed)
    assert landed[-1] == 5 * 2 * 3 * 2 * 8
