"""Two runs held against each other: every mean that both have, paired where they saw the same events."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import duckdb
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from scipy.special import stdtrit

from analysis.db import GRID, connect, is_of_sweep, no_sweep
from analysis.run import InputError, Run

CELL_KEYS = ("setting", *GRID)
LEVEL = 0.95
SAID = ("kernel", "workload", "host_prices", "source", *GRID)  # what may tell two runs apart as a whole
PROVENANCE = ("experiment", "core", "commit")
ENOUGH = 12  # differences named
AT_ONCE = 1 << 26  # figures that are read together: few enough for the memory, enough to read a file seldom
Doubles = NDArray[np.float64]
Indices = NDArray[np.int64]


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


class Matched(NamedTuple):
    """Rows of points in the order of their cells: `a` and `b`, `[rows]` each; of a pair both are at one place.

    starts_a, starts_b: `[cells]`, where the rows of a cell begin. cells: the keys of each, as `a` has them.
    """

    a: Indices
    b: Indices
    starts_a: Indices
    starts_b: Indices
    cells: pa.Table


class Difference(NamedTuple):
    """Of one measure, `[cells]` each: pairs (or the fewer rows), both means, their relative difference, its interval.

    half: half the interval. known: whether there is one.
    """

    pairs: Doubles
    a: Doubles
    b: Doubles
    difference: Doubles
    half: Doubles
    known: NDArray[np.bool_]


def held_against(a: Run, b: Run, tolerance: float) -> Comparison:
    """Hold every numeric result of `a` against that of `b`, by cell of the grid.

    A difference is relative: of a pair b / a - 1, or of two means where no events are shared. It is beyond the
    tolerance if its 95 % interval is: Student's t over pairs (of one pair, whose events are the same, the difference
    itself), or Welch's, at once for all differences (Bonferroni), where nothing is paired. Raises InputError if the
    runs have no cell in common.
    """
    for run in (a, b):
        if not is_of_sweep(run):
            raise no_sweep(run)
    connections = [connect(each) for each in (a, b)]
    there = _measures(connections[1])
    measures = [name for name in _measures(connections[0]) if name in there]
    if not measures:
        raise InputError(f"A and B must share a column of figures (got {a.url!r} and {b.url!r}, which share none)")
    keys, differs = _keys(connections)
    con = duckdb.connect()
    for name, each in zip("ab", connections, strict=True):
        columns = ", ".join(f'"{column}"' for column in dict.fromkeys(("scenario_id", *CELL_KEYS)))
        rows = each.sql(f"select {columns} from points").to_arrow_table()
        con.register(name, rows.append_column("n", pa.array(np.arange(rows.num_rows))))
    matched = _matched(con, keys, paired=True)
    paired = matched.a.size > 0
    matched = matched if paired else _matched(con, keys, paired=False)
    if matched.cells.num_rows == 0:
        raise InputError(f"A and B must share a cell of their grids (got {a.url!r} and {b.url!r}, which share none)")
    differences = []
    of_a, of_b = (run.tables()["points"].count_rows() for run in (a, b))
    step = max(AT_ONCE // (of_a + of_b), 1)
    for some in (measures[at : at + step] for at in range(0, len(measures), step)):
        for name, x, y in zip(some, *(_columns(each, some) for each in connections), strict=True):
            found = _paired(matched, x, y) if paired else _unpaired(matched, x, y, len(measures))
            differences.append(_rows(matched, name, found, tolerance, single=paired))
    rows = pa.concat_tables(differences)
    return Comparison(paired, [*_manifests(a, b), *differs], matched.a.size * paired, of_a, of_b, rows)


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
    values = [_some_values(con) for con in connections]
    for name in dict.fromkeys((*CELL_KEYS, *SAID)):
        seen = [there.get(name, []) for there in values]
        if all(len(values) == 1 for values in seen):
            if seen[0] != seen[1]:
                differs.append(f"{name} ({seen[0][0]} and {seen[1][0]})")
        elif name in CELL_KEYS:
            keys.append(name)
    return keys, differs


def _some_values(con: duckdb.DuckDBPyConnection) -> dict[str, list[object]]:
    """Of each column that may tell runs apart, and that points have, its least and greatest value where they differ."""
    names = [name for name in con.sql("from points limit 0").columns if name in {*CELL_KEYS, *SAID}]
    asked = ", ".join(f'list_distinct([min("{name}"), max("{name}")])' for name in names)
    [row] = con.sql(f"select {asked} from points").fetchall()
    return dict(zip(names, row, strict=True))


def _manifests(a: Run, b: Run) -> list[str]:
    """What the manifests differ in."""
    pairs = ((key, a.manifest.get(key), b.manifest.get(key)) for key in PROVENANCE)
    return [f"{key} ({one} and {other})" for key, one, other in pairs if one != other]


def _matched(con: duckdb.DuckDBPyConnection, keys: list[str], *, paired: bool) -> Matched:
    """Match rows of `a` and `b` by scenario and cell, or where nothing is paired those of each by their cell."""
    names = [f'"{key}"' for key in keys]
    by = ", ".join(names) or "1 as every"
    con.execute(f"""
        create or replace table cells as
        select *, row_number() over (order by {", ".join(names) or "every"}) as cell
        from (select {by} from a intersect select {by} from b)
    """)
    in_cell = f"join cells using ({', '.join(names)})" if names else "cross join cells"
    pairs = f"a join b using ({', '.join(['scenario_id', *names])}) {in_cell}"
    found = []
    for side in "ab":
        rows = pairs if paired else f"{side} {in_cell}"
        table = con.sql(f"select cell, {side}.n from {rows} order by cell, {'a' if paired else side}.n")
        cell, n = (column.to_numpy() for column in table.to_arrow_table().columns)
        found.append((n, np.unique(cell, return_index=True)[1]))
    (of_a, starts_a), (of_b, starts_b) = found
    own = ", ".join(f'"{key}"' for key in CELL_KEYS)
    return Matched(
        of_a, of_b, starts_a, starts_b, con.sql(f"select {own} from a").to_arrow_table().take(of_a[starts_a])
    )


def _columns(con: duckdb.DuckDBPyConnection, names: Sequence[str]) -> list[Doubles]:
    """Columns of points, `[rows]` each, in the order of the rows; NaN where there is no figure."""
    figures = ", ".join(f'"{name}"::double' for name in names)
    return [
        np.asarray(column.to_numpy()) for column in con.sql(f"select {figures} from points").to_arrow_table().columns
    ]


def _paired(matched: Matched, x: Doubles, y: Doubles) -> Difference:
    """Student's t over the relative differences of pairs; of one pair the difference itself."""
    a, b = x[matched.a], y[matched.b]
    with np.errstate(invalid="ignore", divide="ignore"):
        relative = (b - a) / np.abs(a)
    strange = ~(np.isfinite(a) & np.isfinite(b)) | (a == 0)
    relative = np.where(strange, np.sign(np.nan_to_num(b) - np.nan_to_num(a)), relative)
    relative[(a == b) | (np.isnan(a) & np.isnan(b))] = 0.0
    pairs, mean, variance = _moments(relative, matched.starts_a)
    half = stdtrit(np.maximum(pairs - 1, 1), (1 + LEVEL) / 2) * np.sqrt(variance / pairs)
    known = pairs > 1
    of_a, of_b = (_moments(side, matched.starts_a)[1] for side in (a, b))
    return Difference(pairs, of_a, of_b, mean, np.where(known, half, 0.0), known)


def _unpaired(matched: Matched, x: Doubles, y: Doubles, alike: int) -> Difference:
    """Welch's interval of the difference of means, at once for every cell of `alike` measures (Bonferroni)."""
    (n, a, of_a), (m, b, of_b) = (
        _moments(side[rows], starts)
        for side, rows, starts in ((x, matched.a, matched.starts_a), (y, matched.b, matched.starts_b))
    )
    pairs = np.minimum(n, m)
    of_a, of_b = of_a / n, of_b / m
    # relative to nothing a difference has no size: the other mean gives it one
    whole = np.where(a == 0, np.abs(b), np.abs(a))
    with np.errstate(invalid="ignore", divide="ignore"):
        difference = np.where(a == b, 0.0, (b - a) / whole)
        error = np.sqrt(of_a + of_b) / whole
        degrees = (of_a + of_b) ** 2 / (of_a**2 / (n - 1) + of_b**2 / (m - 1))
    quantile = stdtrit(np.nan_to_num(degrees, nan=1.0).clip(1), 1 - (1 - LEVEL) / 2 / (alike * n.size))
    known = pairs > 1
    return Difference(pairs, a, b, difference, np.where(known, quantile * np.nan_to_num(error), np.inf), known)


def _moments(values: Doubles, starts: Indices) -> tuple[Doubles, Doubles, Doubles]:
    """Number, mean and variance of the values of each cell, `[cells]`; of those that there are."""
    there = ~np.isnan(values)
    rows = np.diff(np.append(starts, values.size))
    n = np.add.reduceat(there, starts, dtype=np.float64)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = np.add.reduceat(np.where(there, values, 0.0), starts) / n
        off = np.where(there, values - np.repeat(mean, rows), 0.0)
        return n, mean, np.add.reduceat(off * off, starts) / (n - 1)


def _rows(matched: Matched, measure: str, found: Difference, tolerance: float, *, single: bool) -> pa.Table:
    """A row a cell: the difference, its interval, and whether that is wholly beyond the tolerance, either way.

    single: whether a difference without an interval counts.
    """
    low, high = found.difference - found.half, found.difference + found.half
    columns = {
        "pairs": pa.array(found.pairs.astype(np.int64)),
        "measure": pa.array([measure] * found.a.size),
        "a": pa.array(found.a, from_pandas=True),
        "b": pa.array(found.b, from_pandas=True),
        "difference": pa.array(found.difference),
        "low": pa.array(low, mask=~found.known),
        "high": pa.array(high, mask=~found.known),
        "known": pa.array(found.known),
        "beyond": pa.array(((low > tolerance) | (high < -tolerance)) & (found.known | single)),
    }
    rows = matched.cells
    for name, column in columns.items():
        rows = rows.append_column(name, column)
    return rows if single else rows.filter(pa.array(np.isfinite(found.a) & np.isfinite(found.b)))
