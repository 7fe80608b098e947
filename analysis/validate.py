"""The model held against real kernels and published figures: every figure with its reference, error and verdict."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

import duckdb

from analysis.run import InputError, Run, open_run
from sweep.folder import MANIFEST, OWN_REFERENCE

MEASURED = ("vm_memory", "vm_slabs", "ftrace_calls", "workloads")
PUBLISHED_FILES = "figures_*.csv"
PUBLISHED_FIGURES = """
create view published as
select
    "group", figure, coalesce(kernel, '') as kernel, coalesce(cpus::bigint, 0) as cpus,
    coalesce(workload, '') as workload, reference::double as reference, tolerance::double as tolerance, rule,
    coalesce(role, 'counts') as role, source
from published_text
"""
NOTHING_PUBLISHED = """
create view published as
select
    '' as "group", '' as figure, '' as kernel, 0::bigint as cpus, '' as workload, 0.0 as reference, 0.0 as tolerance,
    '' as rule, '' as role, '' as source
where false
"""
NOT_MEASURED = {  # tables of a run that none of its points had rows of -> their columns beside those of points
    "slabs": "*, '' as kmem_cache, 0 as object_bytes, 0 as objects_per_slab, 0 as pages_per_slab, "
    "0.0 as total_objects_before, 0.0 as total_objects_after",
    "calls": "*, '' as phase, '' as function, 0 as hits_before, 0 as hits_after, 0 as misses_before, "
    "0 as misses_after, 0 as operations, 0.0 as guest_us_per_operation",
}
VIEWS = (
    "scatter",
    "memory",
    "slabs",
    "calls",
    "verdicts",
    "bias",
)  # in the order in which they are made of one another
TASK_CACHES = (  # caches of tasks, which both programs make and end alike: a kept file keeps nothing in them
    *("task_struct", "signal_cache", "sighand_cache", "mm_struct", "vm_area_struct", "files_cache", "fs_cache"),
    *("anon_vma", "anon_vma_chain", "pid", "vmap_area", "maple_node"),
)
LACKING = {  # columns that a table may lack, and what they are then: of one run, counted by the function profiler
    "vm_slabs": {"run": "'1'"},
    "ftrace_calls": {"run": "'1'", "misses": "0", "paced": "false"},
}


def verdicts(run: Run, reference: Path | None) -> duckdb.DuckDBPyRelation:
    """Rows of figure, model, reference with its standard error, error, tolerance and verdict of a validate run.

    reference: folder with the reference's tables, or of a run on real kernels; None means the one that the run was made
    of. Raises InputError if the run has no figures or there is no such folder.
    """
    return judged(run, reference).sql("from verdicts")


def judged(run: Run, reference: Path | None) -> duckdb.DuckDBPyConnection:
    """A connection with the views that `analysis/sql/reference` makes of a run and its reference."""
    tables = run.tables()
    if "figures" not in tables:
        raise InputError(f"RUN must be of +experiment=validate (got {run.url!r}, which has no figures)")
    chosen = reference or Path(run.manifest["config"]["reference"] or OWN_REFERENCE)
    if not chosen.is_dir():
        raise InputError(
            f"--reference must be a folder with CSV files (got {str(chosen)!r}); leave it out for the run's own"
        )
    con = duckdb.connect()
    con.register("figures", tables["figures"])
    if (chosen / MANIFEST).is_file():
        _of_run(con, chosen)
    else:
        _of_tables(con, chosen)
    con.execute("create table untouched (kmem_cache varchar)")
    con.executemany("insert into untouched values (?)", [(name,) for name in TASK_CACHES])
    for name in VIEWS:
        con.execute(f"create view {name} as {_text(name)}")
    return con


def _of_run(con: duckdb.DuckDBPyConnection, folder: Path) -> None:
    """Make the reference's tables of a run on real kernels; published figures are not asked of it."""
    tables = open_run(str(folder)).tables()
    if "points" not in tables:
        raise InputError(f"--reference must be a run of +experiment=truth (got {str(folder)!r}, without points)")
    for name in ("points", *NOT_MEASURED):
        if name in tables:
            con.register(f"run_{name}", tables[name])
        else:
            con.execute(f"create view run_{name} as select {NOT_MEASURED[name]} from run_points where false")
    for name in MEASURED:
        con.execute(f"create view {name} as {_text(f'run/{name}')}")
    con.execute(NOTHING_PUBLISHED)


def _of_tables(con: duckdb.DuckDBPyConnection, folder: Path) -> None:
    for name in MEASURED:
        _view(con, f"{name}_text", [_file(folder, f"{name}.csv")])
        columns = con.table(f"{name}_text").columns
        lacking = [f"{value} as {key}" for key, value in LACKING.get(name, {}).items() if key not in columns]
        con.execute(f"create view {name} as select {', '.join(['*', *lacking])} from {name}_text")
    published = {path.name: path for where in (OWN_REFERENCE, folder) for path in sorted(where.glob(PUBLISHED_FILES))}
    _view(con, "published_text", list(published.values()))
    con.execute(PUBLISHED_FIGURES)


def _text(name: str) -> str:
    return files("analysis").joinpath(f"sql/reference/{name}.sql").read_text()


def score(rows: duckdb.DuckDBPyRelation) -> tuple[int, int]:
    """How many figures are within their tolerance, and how many were judged: what was fitted does not count."""
    judgeable = rows.filter("role = 'counts' and not starts_with(verdict, 'refused')")
    ((within, of),) = judgeable.aggregate("count(*) filter (verdict = 'ok'), count(*)").fetchall()
    return within, of


def _file(folder: Path, name: str) -> Path:
    """A table of the folder, or of the project's own where it is missing."""
    return folder / name if (folder / name).is_file() else OWN_REFERENCE / name


def _view(con: duckdb.DuckDBPyConnection, name: str, paths: list[Path]) -> None:
    # text, since a column of versions such as 6.1 would be read as numbers
    quoted = ", ".join("'" + str(path).replace("'", "''") + "'" for path in paths)
    con.execute(
        f"create view {name} as from read_csv([{quoted}], header = true, all_varchar = true, union_by_name = true, "
        "delim = ',', quote = '\"', escape = '\"', strict_mode = false)"  # lines may end either way
    )
