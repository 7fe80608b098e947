"""DuckDB over one run: its tables, views that make SQL short, and a view for every mart. Nothing else can be read."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, fields
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.dataset as ds
from pyarrow import fs
from scipy.special import stdtrit

from analysis.marts import marts
from analysis.run import Run
from core.designs import DESIGNS
from core.keys import fields_of, read_by
from core.params import Point

GRID = tuple(name for name, own in fields_of(Point).items() if own.named)  # the others make up a row's `setting`
REALISATION = read_by(Point, "realisation")
MOST_PAIRS = 1000  # Student's t at more degrees of freedom is the normal quantile to three digits


def connect(run: Run) -> duckdb.DuckDBPyConnection:
    """A connection that sees one run's tables and the views over them, and no file."""
    con = duckdb.connect()
    tables = run.tables()
    # before anything of the run is read: a name in a stranger's file is never more than a name
    own = [file for dataset in tables.values() for file in _local_files(dataset)]
    con.execute(f"set allowed_paths = {_list(own)}; set enable_external_access = false; set lock_configuration = true")
    for name, dataset in tables.items():
        _see(con, f"landed_{name}" if name == "points" else name, dataset)
    con.register("designs", _designs())
    con.register("manifest", pa.Table.from_pylist(list(_flat(run.manifest))))
    con.register("units", _units(tables))
    con.register("student_t", _student_t())
    if "points" in tables:
        setting = _setting(con, tables["points"].schema.names)
        con.execute(f"create view points as select *, {setting} as setting from landed_points")
        for mart in marts().values():
            # a run of another version may lack a column; whoever asks for such a mart is told that it is not there
            with suppress(duckdb.BinderException):
                con.execute(f"create view {mart.name} as {mart.sql}")
    return con


def _see(con: duckdb.DuckDBPyConnection, name: str, dataset: ds.Dataset) -> None:
    """Make a table of the run visible. What is local DuckDB reads itself, twice to four times as fast as by pyarrow."""
    files = _local_files(dataset)
    if files:
        con.execute(f"create view {_name(name)} as from read_parquet({_list(files)}, hive_partitioning = false)")
    else:
        con.register(name, dataset)


def _local_files(dataset: ds.Dataset) -> list[str]:
    """Files that DuckDB reads itself; not those whose paths it would take for patterns."""
    local = isinstance(dataset.filesystem, fs.LocalFileSystem) and not any(
        set(file) & set("[*?") for file in dataset.files
    )
    return list(dataset.files) if local else []


def _list(texts: Sequence[str]) -> str:
    """A list of texts in SQL."""
    return "[" + ", ".join("'" + text.replace("'", "''") + "'" for text in texts) + "]"


def _name(text: str) -> str:
    """A name in SQL, whatever it is made of."""
    return '"' + text.replace('"', '""') + '"'


def _designs() -> pa.Table:
    """One row per design: its traits, but for those that are code."""
    traits = (asdict(design).items() for design in DESIGNS.values())
    return pa.Table.from_pylist([{n: value for n, value in each if isinstance(value, str | int)} for each in traits])


def _setting(con: duckdb.DuckDBPyConnection, columns: list[str]) -> str:
    """SQL for what was swept beside the grid, as text: 'kernel=linux-6.1 depth=2', or '' where nothing was."""
    swept = {field.name for field in fields(Point)} - {*GRID, *REALISATION}
    candidates = [name for name in columns if name.split(".")[0] in swept]
    if not candidates:
        return "''"
    differs = ", ".join(
        f"min({n}) is distinct from max({n}) or count({n}) % count(*) > 0" for n in map(_name, candidates)
    )
    row = con.execute(f"select {differs} from landed_points").fetchone() or ()
    said = [
        f"{_list([name])[1:-1]} || '=' || {_name(name)}" for name, varies in zip(candidates, row, strict=True) if varies
    ]
    return f"concat_ws(' ', {', '.join(said)})" if said else "''"


def _flat(value: Any, key: str = "") -> Iterator[dict[str, str]]:
    """One row per leaf of the manifest: its path with dots, and its value as text (JSON where it is no text)."""
    if isinstance(value, Mapping):
        for name, item in value.items():
            yield from _flat(item, f"{key}.{name}" if key else str(name))
    else:
        yield {"key": key, "value": value if isinstance(value, str) else json.dumps(value)}


def _units(tables: Mapping[str, ds.Dataset]) -> pa.Table:
    """One row per column of the run: what its Parquet metadata says of it."""
    rows = [
        {"table": name, "column": field.name, "unit": text(field, b"unit"), "doc": text(field, b"doc")}
        for name, dataset in tables.items()
        for field in dataset.schema
    ]
    return pa.Table.from_pylist(rows)


def text(field: pa.Field, key: bytes) -> str | None:
    value = (field.metadata or {}).get(key)
    return value.decode() if value is not None else None


def _student_t() -> pa.Table:
    """Two-sided 95 % quantile of Student's t by degrees of freedom."""
    degrees = np.arange(1, MOST_PAIRS + 1)
    return pa.table({"degrees": degrees, "t95": stdtrit(degrees, 0.975)})
