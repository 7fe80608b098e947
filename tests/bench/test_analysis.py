"""Questions to a million points: DuckDB over the Parquet, beside pandas doing the same group-bys."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import time
from itertools import product
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from analysis.db import connect
from analysis.run import open_run
from core.designs import DESIGNS
from core.simulate import COLUMNS

DESIGNS_SWEPT = list(DESIGNS)[:5]
CPUS, BATCHES, CHURN_HZ = [2**n for n in range(8)], [2**n for n in range(8)], [0.01, 0.1, 1.0, 10.0, 100.0]
REPLICATES = 625
ROUNDS = 3
ROWS_PER_GROUP = 1 << 17
TABLES_S = 30  # on two busy cores; a person still waits for it


@pytest.fixture(scope="module")
def million(tmp_path_factory) -> Path:
    """A run of 1,000,000 points with every column of core, counts and times drawn at random."""
    run = tmp_path_factory.mktemp("million")
    (run / "points").mkdir()
    grid = list(product(DESIGNS_SWEPT, CPUS, BATCHES, CHURN_HZ))
    files = []
    for number in range(5):
        rows = [(*setting, replicate) for replicate in range(number, REPLICATES, 5) for setting in grid]
        table = _points(rows, np.random.default_rng(number))
        name = f"points/{number:05d}.parquet"
        pq.write_table(table, run / name, compression="zstd", row_group_size=ROWS_PER_GROUP)
        files.append({"path": name, "rows": len(rows)})
    manifest = {"state": "complete", "experiment": "million", "config": {"batch": 64, "churn_hz": 0.1}, "files": files}
    (run / "manifest.json").write_text(json.dumps(manifest))
    return run


def _points(rows: list[tuple], rng: np.random.Generator) -> pa.Table:
    design, cpus, batch, churn_hz, replicate = (list(column) for column in zip(*rows, strict=True))
    scenario = [f"{hz}-{n}" for hz, n in zip(churn_hz, replicate, strict=True)]
    columns = {
        "design": design, "cpus": cpus, "batch": batch, "churn_hz": churn_hz, "replicate": replicate,
        "kernel": ["linux-6.1"] * len(rows), "workload": ["web_frontend"] * len(rows), "scenario_id": scenario,
        "point_id": [f"{one}-{n}" for n, one in enumerate(scenario)],
    }  # fmt: skip
    for name, column in COLUMNS.items():
        kind = np.dtype(column.dtype).kind
        figures = rng.integers(1, 10_000, len(rows)).astype(np.int64)
        columns[name] = ["milan"] * len(rows) if kind == "U" else figures.astype(bool if kind == "b" else column.dtype)
    return pa.table(columns)


QUESTIONS = {
    "mean by design and CPUs": (
        "select design, cpus, avg(lost_bytes_end) as figure from points group by all order by all",
        lambda read: read("design", "cpus", "lost_bytes_end").groupby(["design", "cpus"]).lost_bytes_end.mean(),
    ),
    "paired difference to the floor": (
        """select p.design, avg(p.shared_atomics - f.shared_atomics) as figure
           from points as p join points as f using (scenario_id, cpus, batch)
           where f.design = 'unaccounted' group by all order by all""",
        lambda read: _paired(read("design", "scenario_id", "cpus", "batch", "shared_atomics")),
    ),
    "median by design, CPUs, batch and churn": (
        "select design, cpus, batch, churn_hz, median(ns_per_object) as figure from points group by all order by all",
        lambda read: (
            read("design", "cpus", "batch", "churn_hz", "ns_per_object")
            .groupby(["design", "cpus", "batch", "churn_hz"])
            .ns_per_object.median()
        ),
    ),
}


def _paired(points):
    floor = points[points.design == "unaccounted"]
    pairs = points.merge(floor, on=["scenario_id", "cpus", "batch"], suffixes=("", "_floor"))
    return (pairs.shared_atomics - pairs.shared_atomics_floor).groupby(pairs.design).mean()


def best_s(ask) -> float:
    """Seconds of the fastest of ROUNDS."""
    times = []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        ask()
        times.append(time.perf_counter() - began)
    return min(times)


@pytest.mark.bench
@pytest.mark.parametrize("question", QUESTIONS)
def test_a_million_points_beside_pandas(million, question):
    """Both read the Parquet anew, with the columns that they need, and find the same figures."""
    pandas = pytest.importorskip("pandas", reason="the rival is not installed: pip install pandas")
    sql, frame = QUESTIONS[question]
    con = connect(open_run(str(million)))

    def read(*columns: str):
        return pandas.read_parquet(million / "points", columns=list(columns))

    ours = [row[-1] for row in con.sql(sql).fetchall()]
    np.testing.assert_allclose(ours, frame(read).sort_index().to_numpy(), rtol=1e-9)

    duckdb_s, pandas_s = best_s(lambda: con.sql(sql).fetchall()), best_s(lambda: frame(read))
    print(f"\n{question}: {duckdb_s:.2f} s, pandas {pandas_s:.2f} s: {pandas_s / duckdb_s:.1f} times")


@pytest.mark.bench
def test_tables_of_a_million_points(million):
    """`analysis tables` answers in a few seconds, in a few hundred MiB."""
    began = time.perf_counter()
    subprocess.run([sys.executable, "-m", "analysis", "tables", million], check=True, stdout=subprocess.DEVNULL)
    took_s = time.perf_counter() - began
    peak_mib = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024

    print(f"\ntables of 1,000,000 points: {took_s:.1f} s, peak {peak_mib:.0f} MiB")
    assert took_s < TABLES_S
