"""DuckDB over one run: its tables, views that make SQL short, and a view for every mart. Nothing else can be read."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, fields
from importlib.resources import files
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.dataset as ds
from pyarrow import fs

from analysis.marts import marts
from analysis.measures import TOLD_APART
from analysis.run import InputError, Run
from core.designs import DESIGNS
from core.keys import fields_of, read_by
from core.params import Point

GRID = tuple(name for name, own in fields_of(Point).items() if own.named)  # the others make up a row's `setting`
REALISATION = read_by(Point, "realisation")
MOST_PAIRS = 1000  # Student's t at more degrees of freedom is the normal quantile to three digits
BASES = ("cells", "uncertainty")  # marts that others are made of
# what marts read and runs of older versions lack: null there, or the sum of the columns that match
NEWER = {
    "dead_bytes_end": "^memory_bytes_dead_",
    "dead_bytes_mean": None,
    "stocked_bytes_mean": None,
    "out_of_memory_s": None,
    "counterfactual": None,
    "percpu_bytes_dead": None,
    "sreclaimable_bytes_dead": None,
    "sunreclaim_bytes_dead": None,
    "num_cgroups_end": None,
    "visited_memcgs_end": None,
}
MACROS = f"""
create macro t95(degrees) as getvariable('quantiles')[least(degrees, {MOST_PAIRS})::bigint];
create macro told(mine, theirs, half) as case
    when mine - theirs - coalesce(half, 0) > {TOLD_APART} * greatest(abs(mine), abs(theirs)) then 1
    when mine - theirs + coalesce(half, 0) < -{TOLD_APART} * greatest(abs(mine), abs(theirs)) then -1
    else 0
end;
create macro half_width(x) as t95(count(x) - 1) * stddev_samp(x) / sqrt(count(x));
create macro rival(name, a, b) as {{
    measure: name, mine: avg(a)::double, theirs: avg(b)::double, error: stddev_samp(a - b) / sqrt(count(*))
}}
"""


def connect(run: Run, *, hold: bool = False) -> duckdb.DuckDBPyConnection:
    """A connection that sees one run's tables and the views over them, and no file.

    hold: with a schema `held` before the one of the views, for `analysis.held`.
    """
    con = duckdb.connect()
    tables = run.tables()
    con.execute("set parquet_metadata_cache = true")  # each view binds the same files again
    if hold:
        con.execute("create schema held; set search_path = 'held,main'")
    # before anything of the run is read: a name in a stranger's file is never more than a name
    own = [file for dataset in tables.values() for file in _local_files(dataset)]
    con.execute(f"set allowed_paths = {_list(own)}; set enable_external_access = false; set lock_configuration = true")
    for name, dataset in tables.items():
        _see(con, f"landed_{name}" if name == "points" else name, dataset)
    con.register("designs", _designs())
    con.register("manifest", pa.Table.from_pylist(list(_flat(run.manifest))))
    con.register("units", _units(tables))
    from scipy.special import stdtrit  # half of the CPU-s of --help, which needs none

    degrees = np.arange(1, MOST_PAIRS + 1)
    quantiles = pa.table({"degrees": degrees, "t95": stdtrit(degrees, 0.975)})
    con.register("student_t", quantiles)
    con.execute("set variable quantiles = (select list(t95 order by degrees) from student_t)")
    con.execute(MACROS)
    if "samples" in tables:  # of +experiment=sensitivity
        query = files("analysis").joinpath("sql/sensitivity/sensitivity.sql").read_text("utf-8")
        con.execute(f"create view sensitivity as {query}")
    if "points" in tables and not hold and not is_of_sweep(run):
        con.execute("create view main.points as from landed_points")  # of real kernels: nothing that marts could show
    elif "points" in tables:
        points = _points(con, run, tables["points"].schema.names)
        con.execute(f"create table main.points as from ({points}) limit 0")
        make_views(con, "main", BASES, empty=True)
        if not hold:
            make_views(con, "main", set(marts()) - set(BASES))
        make_views(con, "main", BASES)
        con.execute(f"drop table main.points; create view main.points as {points}")
    return con


def is_of_sweep(run: Run) -> bool:
    """Whether a run's points have the columns of the grid, which tables, marts and comparisons are made over."""
    tables = run.tables()
    return "points" in tables and set(GRID) <= set(tables["points"].schema.names)


def is_of_kernels(run: Run) -> bool:
    """Whether a run is of real kernels: its rows say what measured them."""
    tables = run.tables()
    return "points" in tables and {"source", "measure", "workload", "cgroups"} <= set(tables["points"].schema.names)


def no_sweep(run: Run) -> InputError:
    """Say that a run has no points of a sweep, and what can be asked of it."""
    tables = run.tables()
    if "points" not in tables:
        found = f"which has {', '.join(tables) or 'nothing'}"
        then = "try host, or sql" if "forecast" in tables else "try sql"
    elif "slabs" in tables or "calls" in tables:
        found = "of real kernels"
        then = f"+experiment=validate reference={run.url} holds the model against it; try tables, or sql"
    else:
        missing = next(axis for axis in GRID if axis not in tables["points"].schema.names)
        found, then = f"whose points lack {missing}", "docs/results.md has the columns"
    return InputError(f"RUN must be of a sweep (got {run.url!r}, {found}); {then}")


def make_views(con: duckdb.DuckDBPyConnection, schema: str, names: Iterable[str], *, empty: bool = False) -> None:
    """Marts as views. empty: as tables without rows for now, as `points` is: other views are made over them sooner."""
    for name in sorted(names):
        # a run of another version may lack a column; whoever asks for such a mart is told that it is not there
        with suppress(duckdb.BinderException, duckdb.CatalogException):
            if empty:
                con.execute(f"create table {schema}.{name} as from ({marts()[name].sql}) limit 0")
            else:
                con.execute(f"drop table if exists {schema}.{name}")
                con.execute(f"create view {schema}.{name} as {marts()[name].sql}")


def lacking(con: duckdb.DuckDBPyConnection, *names: str) -> str | None:
    """Why marts are not there: the column that one, or what it is made of, needs and the run lacks; None: they are."""
    for mart in dict.fromkeys((*BASES, *names)):
        try:
            con.execute(f"from ({marts()[mart].sql}) limit 0")
        except duckdb.BinderException as error:
            column = re.search(r'column "?(\w+)"? not found|column named "(\w+)"', str(error))
            return f"column {column[1] or column[2]}" if column else " ".join(str(error).split())
    return None


def _points(con: duckdb.DuckDBPyConnection, run: Run, columns: list[str]) -> str:
    """SQL of the view `points`: what landed, what it lacks of what is read here, what was swept beside the grid."""
    if not set(GRID) <= set(columns):
        raise no_sweep(run)
    lacking = []
    for name, parts in NEWER.items():
        has_parts = parts is not None and any(re.match(parts, column) for column in columns)
        if name not in columns:
            value = f"list_sum([*columns('{parts}')])" if has_parts else "null::double"
            lacking.append(f"{value} as {name}")
    swept = _swept(con, run, columns)
    texts = {"setting": swept, "elsewhere": [name for name in swept if name != "kernel"]}
    says = [f"{_text(names)} as {view}" for view, names in texts.items()]
    return f"select {', '.join(['*', *lacking, *says])} from landed_points"


def _swept(con: duckdb.DuckDBPyConnection, run: Run, columns: list[str]) -> list[str]:
    """Columns that were swept beside the grid: by the config, or by the rows where there is none."""
    swept = {field.name for field in fields(Point)} - {*GRID, *REALISATION}
    candidates = [name for name in columns if name.split(".")[0] in swept]
    config = run.manifest.get("config", {})
    if "axes" in config:
        axes = dict(_leaves(config["axes"]))
        return [name for name in candidates if not isinstance(axes.get(name, []), list) or len(axes.get(name, [])) > 1]
    differs = ", ".join(
        f"min({n}) is distinct from max({n}) or count({n}) % count(*) > 0" for n in map(_name, candidates)
    )
    row = con.execute(f"select {differs} from landed_points").fetchone() if candidates else None
    return [name for name, varies in zip(candidates, row or (), strict=True) if varies]


def _text(names: Sequence[str]) -> str:
    """SQL for the values of columns as text: 'kernel=linux-6.1 depth=2', or '' where there are none."""
    said = [f"{_list([name])[1:-1]} || '=' || {_name(name)}" for name in names]
    return f"concat_ws(' ', {', '.join(said)})" if said else "''"


def _see(con: duckdb.DuckDBPyConnection, name: str, dataset: ds.Dataset) -> None:
    """Make a table of the run visible. What is local DuckDB reads itself, twice to four times as fast as by pyarrow."""
    files = _local_files(dataset)
    if files:
        con.execute(f"create view main.{_name(name)} as from read_parquet({_list(files)}, hive_partitioning = false)")
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


def _leaves(value: Any, key: str = "") -> Iterator[tuple[str, Any]]:
    """Every leaf of an `axes` tree by its path with dots: a list, or a range such as {log: [0.1, 10, 3]}."""
    if isinstance(value, Mapping) and not (len(value) == 1 and {*value} <= {"log", "lin", "pow2"}):
        for name, item in value.items():
            yield from _leaves(item, f"{key}.{name}" if key else str(name))
    else:
        yield key, value


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
        {
            "table": name,
            "column": field.name,
            "unit": metadata_text(field, b"unit"),
            "doc": metadata_text(field, b"doc"),
        }
        for name, dataset in tables.items()
        for field in dataset.schema
    ]
    return pa.Table.from_pylist(rows)


def metadata_text(field: pa.Field, key: bytes) -> str | None:
    """What a column's Parquet metadata says under `key`."""
    value = (field.metadata or {}).get(key)
    return value.decode() if value is not None else None
