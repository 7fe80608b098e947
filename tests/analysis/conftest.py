"""Runs made of a few given rows, in the layout that a sweep lands."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from math import inf
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from analysis.__main__ import main
from core.columns import Column

INPUTS = {
    "point_id": "p", "scenario_id": "s", "kernel": "linux-5.2", "workload": "web_frontend", "host": "milan",
    "design": "page_ref", "cpus": 8, "batch": 32, "churn_hz": 0.1, "depth": 1, "cgroup_version": 2, "seed": 1,
    "replicate": 0, "stock": True, "possible_cpus": None,
}  # fmt: skip
ZERO = {"str": "", "bool": False}
NEVER = {"out_of_memory_s": inf}  # columns where zero says something
COMPLETE = {"state": "complete", "experiment": "toy", "config": {"batch": 32}}
Rows = Sequence[Mapping[str, Any]]
Land = Callable[..., Path]


class Said(NamedTuple):
    """What a command printed, and its exit status."""

    status: int
    out: str
    err: str


def landed(rows: Rows, columns: Mapping[str, Column], inputs: Mapping[str, Any]) -> pa.Table:
    """Rows as a sweep lands them: every result column, zero where not given, with unit and meaning."""
    zeros = {name: NEVER.get(name, ZERO.get(column.dtype, 0)) for name, column in columns.items()}
    table = pa.Table.from_pylist([dict(inputs) | zeros | dict(row) for row in rows])
    fields = [
        field.with_metadata({"unit": columns[field.name].unit, "doc": columns[field.name].doc})
        if field.name in columns
        else field
        for field in table.schema
    ]
    return table.cast(pa.schema(fields))


def write_run(
    run: Path,
    points: Rows,
    series: Rows = (),
    manifest: Mapping[str, Any] = COMPLETE,
    without: Sequence[str] = (),
) -> Path:
    """Write rows as a run of a sweep into its folder, and return it. without: columns that the run lacks."""
    from core.simulate import COLUMNS, SERIES_COLUMNS

    gone, files = [name for name in without if name in COLUMNS], []
    for table, rows in (
        ("points", landed(points, COLUMNS, INPUTS).drop(gone) if points else None),
        ("series", landed(series, SERIES_COLUMNS, {}) if series else None),
    ):
        if rows is not None:
            (run / table).mkdir(parents=True)
            pq.write_table(rows, run / table / "00000.parquet")
            files.append({"path": f"{table}/00000.parquet", "rows": rows.num_rows})
    run.mkdir(parents=True, exist_ok=True)
    (run / "manifest.json").write_text(json.dumps({"run_id": run.name, "files": files} | dict(manifest)))
    return run


@pytest.fixture
def land(tmp_path: Path) -> Land:
    """Write rows as a run of a sweep and return its folder."""

    def _land(points: Rows, series: Rows = (), name: str = "run", **more: Any) -> Path:
        return write_run(tmp_path / "toy" / name, points, series, **more)

    return _land


@pytest.fixture
def analysis(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Said]:
    """Run `python -m analysis` with these arguments in this process."""

    def _analysis(*arguments: object) -> Said:
        monkeypatch.setattr(sys, "argv", ["analysis", *map(str, arguments)])
        with pytest.raises(SystemExit) as exit_:
            main()
        out, err = capsys.readouterr()
        return Said(int(exit_.value.code or 0), out, err)

    return _analysis


@pytest.fixture(scope="session")
def smoke(tmp_path_factory) -> Path:
    """The folder of a smoke run, made by the sweep itself."""
    command = [
        sys.executable,
        "-m",
        "sweep",
        "+experiment=smoke",
        "cluster=inline",
        f"out={tmp_path_factory.mktemp('out')}",
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return Path(done.stdout.splitlines()[-1])
