"""What tables and the report ask often, worked out once: means over the whole grid, and which of two designs has more.

In the schema `held` tables shadow those marts: `cells` of OVER_GRID alone, `uncertainty` of COMPARED alone and with no
more than `told`. `main` has all of both.
"""

from __future__ import annotations

import math
from contextlib import suppress

import duckdb

from analysis.db import BASES, GRID, connect, lacking, make_views
from analysis.marts import marts
from analysis.measures import COMPARED, OVER_GRID, TOLD_APART
from analysis.run import InputError, Run

OFTEN = ("batch_choice", "prices")  # marts of points that several tables ask
PAIRED_ROWS = 12_000_000  # rows of points that are put in pairs at once: some 900 MiB
NEAR = 1e-9  # share of the bound within which two ways to add up the same rows may differ
PAIR = ("setting", "measure", "design", "against", "cpus", "batch", "churn_hz")
# The interval of a paired difference is no wider than those of both means together: whoever stands apart by more does
# so in pairs, and whose means are within the bound does not. What is left is null, and paired.
BY_MEANS = f"""
with seen as (
    select setting, design, cpus, batch, churn_hz, bit_xor(hash(scenario_id)) as scenarios from main.points group by all
),
figures as (
    from held.cells unpivot include nulls (
        (value, value_pm) for measure in ({", ".join(f"({name}, {name}_pm) as '{name}'" for name in COMPARED)})
    )
),
known as (select * from figures join seen using (setting, design, cpus, batch, churn_hz) where value is not null)
select a.setting, a.measure, a.design, b.design as against, a.cpus, a.batch, a.churn_hz,
       {TOLD_APART} * greatest(abs(a.value), abs(b.value)) as bound,
       case
           when (a.scenarios, a.replicates) <> (b.scenarios, b.replicates) then null
           when abs(a.value - b.value) <= (1 - {NEAR}) * bound then 0
           else nullif(told(a.value, b.value, coalesce(a.value_pm + b.value_pm, 0) + {NEAR} * bound), 0)
       end as told
from known as a join known as b using (setting, measure, cpus, batch, churn_hz)
where a.design < b.design
"""


def _compared(row: str) -> str:
    """SQL for the value that a row of points has of the measure of a row of `open`."""
    cases = (f"when '{name}' then {row}.{name}" for name in COMPARED)
    return f"case o.measure {' '.join(cases)} end::double"


BY_PAIRS = f"""
with open as (from by_means where told is null),
wanted as (select distinct setting, unnest([design, against]) as design, cpus, batch, churn_hz from open),
seen as materialized (
    select setting, design, cpus, batch, churn_hz, hash(scenario_id) as events, {", ".join(COMPARED)}
    from main.points semi join wanted using (setting, design, cpus, batch, churn_hz)
    where cpus in $cpus
),
pairs as (
    select {", ".join(f"o.{key}" for key in PAIR)}, {_compared("a")} as mine, {_compared("b")} as theirs
    from open as o
    join seen as a using (setting, design, cpus, batch, churn_hz)
    join seen as b on (b.events, b.setting, b.design, b.cpus, b.batch, b.churn_hz)
                    = (a.events, o.setting, o.against, o.cpus, o.batch, o.churn_hz)
)
select {", ".join(PAIR)}, told(avg(mine), avg(theirs), half_width(mine - theirs)) as told
from pairs group by all having avg(mine) is not null and avg(theirs) is not null
"""


def holding(run: Run) -> duckdb.DuckDBPyConnection:
    """A connection as `analysis.db.connect` makes it, for whoever asks often."""
    con = connect(run, hold=True)
    if lacks := lacking(con):
        raise InputError(
            f"RUN must have {lacks} (got {run.url!r}, of another version); sql answers what needs none of it"
        )
    shown = {"setting", *GRID, "replicates", "out_of_memory", "own", *OVER_GRID}
    known = "select column_name from duckdb_columns() where schema_name = 'main' and table_name = 'cells'"  # unbound
    columns = [name for (name,) in con.execute(known).fetchall() if name.removesuffix("_pm") in shown]
    con.execute(f"create table held.cells as select {', '.join(columns)} from main.cells")
    _tell_apart(con)
    make_views(con, "held", set(marts()) - set(BASES))
    for name in OFTEN:
        with suppress(duckdb.CatalogException):  # of a run that lacks what it needs
            con.execute(f"create table held.held_{name} as from held.{name}; drop view held.{name}")
            con.execute(f"alter table held.held_{name} rename to {name}")
    return con


def _tell_apart(con: duckdb.DuckDBPyConnection) -> None:
    """Fill `held.uncertainty`: by means, and what those leave open in pairs, of some CPU counts at a time."""
    con.execute(f"create temp table by_means as select {', '.join(PAIR)}, told from ({BY_MEANS})")
    con.execute("create temp table by_pairs as from by_means limit 0")
    rows = con.execute("""
        select cpus, sum(replicates)::bigint from held.cells
        where cpus in (select cpus from by_means where told is null) group by cpus order by cpus
    """).fetchall()
    pieces = min(math.ceil(sum(n for _, n in rows) / PAIRED_ROWS), len(rows))
    for piece in range(pieces):
        con.execute(f"insert into by_pairs {BY_PAIRS}", {"cpus": [cpus for cpus, _ in rows[piece::pieces]]})
    con.execute("""
        create table held.uncertainty as
        with one_way as (from by_means where told is not null union all from by_pairs)
        from one_way
        union all
        select * replace (against as design, design as against, -told as told) from one_way;
        drop table by_means; drop table by_pairs
    """)
