"""What the contests found: told at the end, and kept as a page and as a run that `analysis` can read."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import time
import uuid
from importlib import metadata
from itertools import groupby
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.support import ROOT
from tests.support.contest import Row, contest

ROWS = pytest.StashKey[list[Row]]()
PACKAGES = ("numba", "numpy", "pyarrow", "duckdb", "ray")
CORES = 2  # that the main job is given
BUSY = 0.25  # cores that others may use during a contest before its figures are said to be of a busy machine


def pytest_addoption(parser: pytest.Parser) -> None:
    """Where the figures are kept."""
    parser.addoption("--bench-page", type=Path, help="Markdown file to write the figures to")
    parser.addoption("--bench-runs", type=Path, help="folder that gets a run of the figures, for analysis")


def pytest_configure(config: pytest.Config) -> None:
    """Begin with no figure."""
    config.stash[ROWS] = []


@pytest.fixture
def compete(request: pytest.FixtureRequest):
    """Hold a contest (`tests.support.contest.contest`), keep its rows for the end, and return them."""

    def _compete(name, contestants, **how):
        rows = contest(name, contestants, **how)
        request.config.stash[ROWS] += rows
        return rows

    return _compete


@pytest.fixture(scope="session")
def churn_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run of the main job, which is run once for all that ask."""
    out = tmp_path_factory.mktemp("churn")
    line = [sys.executable, "-m", "sweep", "+experiment=churn", f"out={out}", f"cluster.cores={CORES}"]
    done = subprocess.run(line, capture_output=True, text=True, check=True, cwd=ROOT)
    return Path(done.stdout.splitlines()[-1])


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Print the figures, and keep them where the command line says."""
    rows = config.stash[ROWS]
    if not rows:
        return
    lines = list(page(rows))
    terminalreporter.write_line("")
    for line in lines:
        terminalreporter.write_line(line)
    if (to := config.getoption("--bench-page", default=None)) is not None:
        to.write_text("\n".join(lines) + "\n")
    if (to := config.getoption("--bench-runs", default=None)) is not None:
        terminalreporter.write_line(str(keep(rows, to)))


def page(rows: list[Row]):
    """Yield the lines of a Markdown page."""
    cores = len(os.sched_getaffinity(0))
    yield "# Benchmarks"
    yield ""
    yield "Printed by `make bench`: contestants take turns, figures are medians of the rounds (least to most), and"
    yield "*times* is the median over rounds of the contestant's figure by that of the first."
    yield ""
    yield f"- {cpu_model()}, {cores} cores, Linux {platform.release()}, Python {platform.python_version()}"
    yield "- " + ", ".join(f"{name} {metadata.version(name)}" for name in PACKAGES)
    if others := said_of_others(rows):
        yield f"- {others}"
    for name, members in groupby(rows, key=lambda row: row.contest):
        first, *_ = group = list(members)
        yield from (
            "",
            f"## {name}",
            "",
            f"| | {first.unit} | least to most | times | rounds |",
            "|---|---|---|---|---|",
        )
        for row in group:
            spread = f"{row.least:.3g} to {row.most:.3g}"
            yield f"| {row.contestant} | {row.figure:.3g} | {spread} | {row.times:.3g} | {row.rounds} |"


def said_of_others(rows: list[Row]) -> str:
    """Return how busy the machine's other processes were, where it is known; '' where it never is."""
    known = [row.others for row in rows if row.others is not None]
    if not known:
        return ""
    busy = "; the machine was busy, so read the ratios only" if max(known) > BUSY else ""
    return f"other processes used {min(known):.2f} to {max(known):.2f} cores during a contest{busy}"


def cpu_model() -> str:
    """Return what the kernel calls the first CPU."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return next((line.partition(": ")[2] for line in lines if line.startswith("model name")), platform.machine())


def keep(rows: list[Row], folder: Path) -> Path:
    """Write the rows as a run's table `benchmarks`, and each round as a point, which `analysis compare` reads.

    A contest stands in the column `workload`, a contestant in `design`, a round in `replicate`.
    """
    run = folder / time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    cores = len(os.sched_getaffinity(0))
    points = [
        {
            "workload": row.contest,
            "design": row.contestant,
            "cpus": cores,
            "batch": 0,
            "churn_hz": 0.0,
            "replicate": number,
            "scenario_id": uuid.uuid4().hex,
            "figure": figure,
        }
        for row in rows
        for number, figure in enumerate(row.figures)
    ]
    lists = {"benchmarks": [row._asdict() for row in rows], "points": points}
    tables = {name: pa.Table.from_pylist(each) for name, each in lists.items()}
    at = tables["points"].schema.get_field_index("figure")
    figure = pa.field("figure", pa.float64(), metadata={"unit": "1", "doc": "in the unit that `benchmarks` has"})
    tables["points"] = tables["points"].cast(tables["points"].schema.set(at, figure))
    files = []
    for name, table in tables.items():
        (run / name).mkdir(parents=True)
        pq.write_table(table, run / name / "00000.parquet")
        files.append({"path": f"{name}/00000.parquet", "rows": table.num_rows})
    manifest = {"state": "complete", "experiment": "bench", "run_id": run.name, "config": {}, "files": files}
    (run / "manifest.json").write_text(json.dumps(manifest, indent=2))
    return run
