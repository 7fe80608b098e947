"""A real smoke run: what must balance does, and every command answers from it."""

from __future__ import annotations

import duckdb
import pytest

from analysis.db import connect
from analysis.run import open_run
from analysis.tables import WIDTH


@pytest.fixture(scope="module")
def con(smoke) -> duckdb.DuckDBPyConnection:
    """A connection to the smoke run."""
    return connect(open_run(str(smoke)))


@pytest.mark.parametrize(
    ("law", "broken"),
    [
        ("a point lands once", "select point_id from points group by all having count(*) <> 1"),
        (
            "every scenario is seen by every design at every CPU count and batch",
            """select scenario_id from points group by all
               having count(*) <> (select count(distinct (design, cpus, batch)) from points)""",
        ),
        (
            "every design sees the same events",
            "select scenario_id from points group by all having count(distinct objects_allocated) > 1",
        ),
        (
            "every byte has a component",
            """select point_id from memory join points using (point_id)
               group by point_id, total_bytes_end having sum(bytes) <> total_bytes_end""",
        ),
        (
            "the floor loses nothing",
            """select point_id from points where lost_bytes_end <> 0
               and design in (select name from designs where not accounts)""",
        ),
        (
            "lost memory is what gone memcgs hold beyond the floor",
            """with dead as (select point_id, sum(bytes) as bytes from memory where state = 'dead' group by all)
               select a.point_id from points as a join dead as d using (point_id)
               join points as b using (scenario_id, setting, cpus, batch) join dead as f on f.point_id = b.point_id
               where b.design in (select name from designs where not accounts)
                 and a.lost_bytes_end <> d.bytes - f.bytes""",
        ),
        (
            "shared atomics are the kinds of ops that are atomics",
            """select point_id from ops join points using (point_id) where kind like '%\\_atomics' escape '\\'
               group by point_id, shared_atomics having sum(n) <> shared_atomics""",
        ),
        (
            "counter atomics are of five counters",
            """select point_id from points where counter_atomics <> leaf_counter_atomics + upper_counter_atomics
               + memsw_counter_atomics + kmem_counter_atomics + protection_atomics""",
        ),
        (
            "a page charge hits the stock or walks",
            "select point_id from points where page_charges <> stock_hits + charge_walks",
        ),
        (
            "a series ends where its points end",
            """select point_id from points join series using (life_id) where dying_memcgs <> dying_memcgs_end
               and t_s = (select max(t_s) from series)""",
        ),
        ("every point has a series", "select point_id from points anti join series using (life_id)"),
        (
            "an upgrade and its way back cancel",
            """select 1 from upgrade as a join upgrade as b
               on (a.setting, a.cpus, a.batch, a.churn_hz, a.from_design, a.to_design)
                = (b.setting, b.cpus, b.batch, b.churn_hz, b.to_design, b.from_design)
               where a.given_back_bytes + b.given_back_bytes <> 0""",
        ),
    ],
)
def test_books(con, law, broken):
    """A law of the model, as a query for the rows that break it."""
    assert con.sql("select count(*) from points").fetchall() != [(0,)]
    assert con.sql(broken).fetchall() == [], law


def test_tables_read_well(smoke, analysis):
    """The tables of a run fit the width promised, and are plain where there is no terminal."""
    said = analysis("tables", smoke)

    assert said.status == 0
    assert max(map(len, said.out.splitlines())) <= WIDTH
    assert "\x1b" not in said.out
