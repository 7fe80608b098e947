"""Questions to ten million points that look like churn's: `analysis`, and the same by pandas and Polars."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from analysis.run import open_run
from tests.bench.test_engines import RIVALS
from tests.support import ROOT
from tests.support.contest import timed
from tests.support.copies import copies

pytestmark = pytest.mark.bench
ROWS = 10_000_000
QUESTIONS = {
    "mean": "mean by design and CPUs",
    "paired": "paired difference to the floor",
    "median": "median by design, CPUs, batch and churn",
}
ASKED = Path(__file__).parent / "marts" / "questions.py"
MOST_BYTES = 100  # a row
CONNECT = """
import resource, sys
import scipy.special
from analysis.db import connect
from analysis.run import open_run
def cpu_s(who=resource.RUSAGE_SELF):
    return resource.getrusage(who).ru_utime + resource.getrusage(who).ru_stime
began = cpu_s()
connect(open_run(sys.argv[1]))
print(cpu_s() - began)
"""


@pytest.fixture(scope="module")
def many(churn_run, tmp_path_factory) -> Iterator[Path]:
    """Ten million points; files in it were verified before anybody is timed, as they are once a machine."""
    run = copies(churn_run, ROWS, tmp_path_factory.mktemp("many"))
    open_run(str(run)).tables()
    yield run
    shutil.rmtree(run)  # most of a gigabyte


def asked(python, engine: str, question: str, run: Path) -> dict:
    """Ask in a process of its own; return CPU-s, MiB and figures."""
    paths = os.environ | {"PYTHONPATH": str(ROOT)}
    line = [str(python), str(ASKED), engine, question, str(run)]
    done = subprocess.run(line, capture_output=True, text=True, env=paths, timeout=900)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("question", QUESTIONS)
@pytest.mark.skipif(not RIVALS.exists(), reason="the rivals are not installed: make .venv-rivals/installed")
def test_marts_beside_pandas_and_polars(compete, many, question):
    """All read the Parquet anew, the columns that they need, and find the same figures; DuckDB is ahead of pandas."""
    found = {}

    def asking(python, engine):
        def ask():
            found[engine] = asked(python, engine, question, many)
            return found[engine]["cpu_s"]

        return ask

    rows = compete(
        f"{ROWS:,} points: {QUESTIONS[question]}",
        {
            "DuckDB, as analysis asks it": asking(sys.executable, "duckdb"),
            "Polars, streaming": asking(RIVALS, "polars"),
            "pandas": asking(RIVALS, "pandas"),
        },
        rounds=1,
    )

    for engine in ("polars", "pandas"):
        np.testing.assert_allclose(found["duckdb"]["figures"], found[engine]["figures"], rtol=1e-9)
    assert rows[-1].times > 1


def test_what_a_user_waits_for(compete, many):
    """connect, tables and uncertainty of ten million points, imports left out of the first alone."""
    answer = {"stdout": subprocess.DEVNULL, "check": True, "cwd": ROOT}
    analysis = [sys.executable, "-m", "analysis"]

    def connect():
        return float(subprocess.run([sys.executable, "-c", CONNECT, many], capture_output=True, check=True).stdout)

    compete(
        f"analysis at {ROWS:,} points",
        {
            "connect": connect,
            "analysis tables": lambda: timed(lambda: subprocess.run([*analysis, "tables", many], **answer)),
            "analysis sql 'from uncertainty'": lambda: timed(
                lambda: subprocess.run([*analysis, "sql", many, "from uncertainty", "--format", "csv"], **answer)
            ),
        },
        rounds=1,
    )


def test_bytes_of_a_row(compete, churn_run, many):
    """A row of all columns takes under 100 bytes: as real points land, and in ten million."""

    def bytes_of(run):
        files = list((run / "points").iterdir())
        return sum(file.stat().st_size for file in files) / sum(pq.read_metadata(file).num_rows for file in files)

    columns = pq.read_metadata(next((many / "points").iterdir())).num_columns
    rows = compete(
        f"Bytes of a row of {columns} columns",
        {f"{ROWS:,} points": lambda: bytes_of(many), "churn as it lands": lambda: bytes_of(churn_run)},
        rounds=1,
        unit="bytes",
    )

    assert max(row.figure for row in rows) < MOST_BYTES
