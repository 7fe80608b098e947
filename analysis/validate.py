"""The model held against real kernels and published figures: every figure with its reference, error and verdict."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

import duckdb

from analysis.run import InputError, Run

OWN = Path(__file__).resolve().parent.parent / "conf" / "figures"
MEASURED = ("vm_memory", "vm_slabs", "ftrace_calls", "workloads")
PUBLISHED = "figures_*.csv"
PUBLISHED_FIGURES = """
create view published as
select
    "group", figure, coalesce(kernel, '') as kernel, coalesce(cpus::bigint, 0) as cpus,
    coalesce(workload, '') as workload, reference::double as reference, tolerance::double as tolerance, rule, source
from published_text
"""
VIEWS = ("memory", "slabs", "calls", "verdicts")  # in the order in which they are made of one another


def verdicts(run: Run, reference: Path | None) -> duckdb.DuckDBPyRelation:
    """Rows of figure, reference, model, error, tolerance and verdict of a validate run.

    reference: folder with the reference's tables; None means the one that the run was made of. Raises InputError if the
    run has no figures or there is no such folder.
    """
    tables = run.tables()
    if "figures" not in tables:
        raise InputError(f"RUN must be of +experiment=validate (got {run.url!r}, which has no figures)")
    chosen = reference or Path(run.manifest["config"]["reference"] or OWN)
    if not chosen.is_dir():
        raise InputError(
            f"--reference must be a folder with CSV files (got {str(chosen)!r}); leave it out for the run's own"
        )
    con = duckdb.connect()
    con.register("figures", tables["figures"])
    for name in MEASURED:
        _view(con, name, [_file(chosen, f"{name}.csv")])
    published = {path.name: path for folder in (OWN, chosen) for path in sorted(folder.glob(PUBLISHED))}
    _view(con, "published_text", list(published.values()))
    con.execute(PUBLISHED_FIGURES)
    for name in VIEWS:
        con.execute(f"create view {name} as {files('analysis').joinpath(f'sql/reference/{name}.sql').read_text()}")
    return con.sql("from verdicts")


def score(rows: duckdb.DuckDBPyRelation) -> tuple[int, int]:
    """How many figures are within their tolerance, and how many there are."""
    ((within, of),) = rows.aggregate("count(*) filter (verdict = 'ok'), count(*)").fetchall()
    return within, of


def _file(folder: Path, name: str) -> Path:
    """A table of the folder, or of the project's own where it is missing."""
    return folder / name if (folder / name).is_file() else OWN / name


def _view(con: duckdb.DuckDBPyConnection, name: str, paths: list[Path]) -> None:
    # text, since a column of versions such as 6.1 would be read as numbers
    quoted = ", ".join("'" + str(path).replace("'", "''") + "'" for path in paths)
    con.execute(
        f"create view {name} as from read_csv([{quoted}], header = true, all_varchar = true, union_by_name = true, "
        "delim = ',', quote = '\"', escape = '\"', strict_mode = false)"  # lines may end either way
    )
