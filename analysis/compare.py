"""Two runs held against each other: every mean that both have, paired where they saw the same events."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import duckdb
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from scipy.special import stdtrit

from analysis.db import GRID, connect
from analysis.run import InputError, Run

CELL_KEYS = ("setting", *GRID)
LEVEL = 0.95
SAID = ("kernel", "workload", "host_prices", "source", *GRID)  # what may tell two runs apart as a whole
PROVENANCE = ("experiment", "core", "commit")
ENOUGH = 12  # differences named
Doubles = NDArray[np.float64]


@dataclass(frozen=True)
class Comparison:
    """paired: on scenarios. differs: what the runs as a whole differ in. rows: a difference per cell and measure.

    matched, of_a, of_b: rows of points that have a partner, and that each run has.
    """

    paired: bool
    differs: list[str]
    matched: int
    of_a: int
    of_b: int
    rows: pa.Table

    def beyond(self) -> pa.Table:
        """The differences beyond the tolerance, the largest first."""
        kept = self.rows.filter(self.rows["beyond"])
        order = np.argsort(-np.abs(kept["difference"].to_numpy()), kind="stable")
        return kept.take(pa.array(order))


def held_against(a: Run, b: Run, tolerance: float) -> Comparison:
    """Hold every numeric result of `a` against that of `b`, by cell of the grid.

    A difference is relative: of a pair b / a - 1, or of two means where no events are shared. It is beyond the
    tolerance if its 95 % interval is: Student's t over pairs (of one pair, whose events are the same, the difference
    itself), or Welch's, at once for all differences (Bonferroni), where nothing is paired. Raises InputError if the
    runs have no cell in common.
    """
    connections = [connect(each) for each in (a, b)]
    for run in (a, b):
        if "points" not in run.tables():
            raise InputError(f"RUN must be of a sweep (got {run.url!r}, which has no points); try sql")
    measures = [name for name in _measures(connections[0]) if name in _measures(connections[1])]
    if not measures:
        raise InputError(f"A and B must share a column of figures (got {a.url!r} and {b.url!r}, which share none)")
    keys, differs = _keys(connections)
    differs = [*_manifests(a, b), *differs]
    con = duckdb.connect()
    for name, each in zip("ab", connections, strict=True):
        columns = ", ".join(f'"{column}"' for column in dict.fromkeys(("scenario_id", *CELL_KEYS)))
        figures = ", ".join(f'"{column}"::double as "{column}"' for column in measures)
        con.register(name, each.sql(f"select {columns}, {figures} from points").to_arrow_table())
    on = ", ".join(f'"{key}"' for key in ("scenario_id", *keys))
    [(matched, of_a, of_b)] = con.sql(f"""
        select (select count(*) from a join b using ({on})), (select count(*) from a), (select count(*) from b)
    """).fetchall()
    paired = matched > 0
    rows = _paired(con, keys, measures, tolerance) if paired else _unpaired(con, keys, measures, tolerance)
    if rows.num_rows == 0:
        raise InputError(f"A and B must share a cell of their grids (got {a.url!r} and {b.url!r}, which share none)")
    return Comparison(paired, differs, matched, of_a, of_b, rows)


def told(found: Comparison, tolerance: float) -> Iterator[str]:
    """What a comparison found, in lines."""
    differs = "; ".join(found.differs) or "nothing: configuration and code are the same"
    yield f"The runs differ in {differs}."
    if found.paired:
        yield f"Paired on scenario_id: {found.matched:,} pairs of {found.of_a:,} and {found.of_b:,} rows."
    else:
        yield f"Unpaired, as no scenario is shared: means of {found.of_a:,} and {found.of_b:,} rows."
    alone = int(np.sum(~found.rows["known"].to_numpy(zero_copy_only=False)))
    if alone and found.paired:
        yield f"{alone:,} differences are of one pair: they have no interval, and count as they are on the same events."
    elif alone:
        yield f"{alone:,} differences are of single replicates: they have no interval, and nothing can be said of them."
    beyond = found.beyond()
    names = list(dict.fromkeys(beyond["measure"].to_pylist()))
    if not names:
        yield f"No difference of {found.rows.num_rows:,} lies beyond ±{tolerance:g}."
        return
    yield (
        f"{beyond.num_rows:,} of {found.rows.num_rows:,} differences lie beyond ±{tolerance:g}, in {len(names)} "
        f"column{'s' * (len(names) != 1)}: {', '.join(names[:ENOUGH])}{', ...' * (len(names) > ENOUGH)}."
    )


def _measures(con: duckdb.DuckDBPyConnection) -> list[str]:
    """Columns of points that are results and numbers."""
    numbers = "'BIGINT', 'INTEGER', 'SMALLINT', 'HUGEINT', 'DOUBLE', 'FLOAT', 'UBIGINT', 'UINTEGER'"
    rows = con.execute(f"""
        select column_name from (describe points) join units on "table" = 'points' and "column" = column_name
        where unit is not null and column_type in ({numbers})
    """).fetchall()
    return [name for (name,) in rows if name not in CELL_KEYS]


def _keys(connections: Sequence[duckdb.DuckDBPyConnection]) -> tuple[list[str], list[str]]:
    """What cells are matched on, and what both runs have one value of each that is not the same.

    A key of one value in each run is no key: a kernel's own design and batch follow it.
    """
    keys, differs = [], []
    for name in dict.fromkeys((*CELL_KEYS, *SAID)):
        seen = []
        for con in connections:
            there = con.execute("select 1 from (describe points) where column_name = $1", [name]).fetchall()
            rows = con.execute(f'select distinct "{name}" from points limit 2').fetchall() if there else []
            seen.append([value for (value,) in rows])
        if all(len(values) == 1 for values in seen):
            if seen[0] != seen[1]:
                differs.append(f"{name} ({seen[0][0]} and {seen[1][0]})")
        elif name in CELL_KEYS:
            keys.append(name)
    return keys, differs


def _manifests(a: Run, b: Run) -> list[str]:
    """What the manifests differ in."""
    pairs = ((key, a.manifest.get(key), b.manifest.get(key)) for key in PROVENANCE)
    return [f"{key} ({one} and {other})" for key, one, other in pairs if one != other]


def _paired(con: duckdb.DuckDBPyConnection, keys: list[str], measures: list[str], tolerance: float) -> pa.Table:
    on = ", ".join(f'"{key}"' for key in ("scenario_id", *keys))
    by = "".join(f'any_value("{key}") as "{key}", ' for key in CELL_KEYS)
    group = f"group by {', '.join(keys)}" if keys else ""
    figures = ", ".join(
        f"""{{measure: '{name}', a: avg("a {name}"), b: avg("b {name}"), difference: avg("{name}"),
             error: stddev_samp("{name}") / sqrt(count(*))}}"""
        for name in measures
    )
    each = ", ".join(
        f'a."{name}" as "a {name}", b."{name}" as "b {name}", relative(a."{name}", b."{name}") as "{name}"'
        for name in measures
    )
    own = ", ".join(f'a."{key}" as "{key}"' for key in CELL_KEYS)
    con.execute("""
        create or replace macro relative(a, b) as
            case when a = b or (a is null and b is null) then 0 when a = 0 or not isfinite(a) or not isfinite(b)
            or a is null or b is null then sign(coalesce(b, 0) - coalesce(a, 0)) else (b - a) / abs(a) end
    """)
    rows = con.sql(f"""
        select * exclude measures, unnest(measures, recursive := true)
        from (
            select {by} count(*) as pairs, [{figures}] as measures
            from (select {own}, {each} from a join b using ({on})) {group}
        )
    """).to_arrow_table()
    pairs = rows["pairs"].to_numpy()
    half = stdtrit(np.maximum(pairs - 1, 1), (1 + LEVEL) / 2) * _floats(rows["error"])
    return _judged(rows, np.where(pairs > 1, half, 0.0), pairs > 1, tolerance, single=True)


def _unpaired(con: duckdb.DuckDBPyConnection, keys: list[str], measures: list[str], tolerance: float) -> pa.Table:
    figures = ", ".join(
        f"""{{measure: '{name}', mean: avg("{name}"), variance: var_samp("{name}")}}""" for name in measures
    )
    by = "".join(f'any_value("{key}") as "{key}", ' for key in CELL_KEYS)
    group = f"group by {', '.join(keys)}" if keys else ""
    sides = [
        f"""select * exclude measures, unnest(measures, recursive := true)
            from (select {by} count(*) as n, [{figures}] as measures
                  from {side} {group})"""
        for side in "ab"
    ]
    on = ", ".join(("measure", *keys))
    rows = con.sql(f"""
        select {", ".join(f"x.{key}" for key in CELL_KEYS)}, least(x.n, y.n) as pairs, measure,
               x.mean as a, y.mean as b,
               case when x.mean = y.mean then 0 when x.mean = 0 then sign(y.mean)
                    else (y.mean - x.mean) / abs(x.mean) end as difference,
               sqrt(x.variance / x.n + y.variance / y.n) / nullif(abs(x.mean), 0) as error,
               pow(x.variance / x.n + y.variance / y.n, 2)
               / nullif(pow(x.variance / x.n, 2) / (x.n - 1) + pow(y.variance / y.n, 2) / (y.n - 1), 0) as degrees
        from ({sides[0]}) as x join ({sides[1]}) as y using ({on})
        where isfinite(x.mean) and isfinite(y.mean)
    """).to_arrow_table()
    known = rows["pairs"].to_numpy() > 1
    degrees = np.nan_to_num(_floats(rows["degrees"]), nan=1.0)
    quantile = stdtrit(np.maximum(degrees, 1), 1 - (1 - LEVEL) / 2 / max(rows.num_rows, 1))
    half = np.where(known, quantile * np.nan_to_num(_floats(rows["error"])), np.inf)
    return _judged(rows.drop("degrees"), half, known, tolerance, single=False)


def _judged(rows: pa.Table, half: Doubles, known: NDArray[np.bool_], tolerance: float, *, single: bool) -> pa.Table:
    """The rows with their interval, and whether that is wholly beyond the tolerance, in either direction."""
    difference = _floats(rows["difference"])
    low, high = difference - half, difference + half
    beyond = ((low > tolerance) | (high < -tolerance)) & (known | single)
    ends = [pa.array(np.where(known, end, np.nan), mask=~known) for end in (low, high)]
    for name, column in (("low", ends[0]), ("high", ends[1]), ("known", known), ("beyond", beyond)):
        rows = rows.append_column(name, pa.array(column))
    return rows.drop("error")


def _floats(column: pa.ChunkedArray) -> Doubles:
    return np.asarray(column.to_numpy(), dtype=np.float64)
