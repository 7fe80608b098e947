"""A real smoke run: what must balance does, and every command answers from it."""

from __future__ import annotations

import csv
import io

import duckdb
import pytest

from analysis.db import connect
from analysis.run import open_run


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
            "select scenario_id, cpus from points group by all having count(distinct objects_allocated) > 1",
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
               on (a.elsewhere, a.cpus, a.churn_hz, a.from_kernel, a.from_design, a.from_batch)
                = (b.elsewhere, b.cpus, b.churn_hz, b.to_kernel, b.to_design, b.to_batch)
               and (a.to_kernel, a.to_design, a.to_batch) = (b.from_kernel, b.from_design, b.from_batch)
               where a.given_back_bytes + b.given_back_bytes <> 0""",
        ),
    ],
)
def test_books(con, law, broken):
    """A law of the model, as a query for the rows that break it."""
    assert con.sql("select count(*) from points").fetchall() != [(0,)]
    assert con.sql(broken).fetchall() == [], law


@pytest.mark.parametrize("width", [72, 80, 120])
@pytest.mark.parametrize("form", ["text", "table"])
def test_tables_fit(smoke, analysis, form, width):
    """The tables of a run fit the width asked for, end no line in blanks, and are plain where there is no terminal."""
    said = analysis("tables", smoke, "--format", form, "--width", width)
    lines = said.out.splitlines()

    assert said.status == 0
    assert max(map(len, lines)) <= width
    assert [line for line in lines if line != line.rstrip()] == []
    assert "\x1b" not in said.out


def test_text_is_ascii_in_72_columns(smoke, analysis):
    """The form for mails needs no option to fit one, and no character that a mailer may break."""
    said = analysis("tables", smoke, "--format", "text")

    assert said.out.isascii()
    assert max(map(len, said.out.splitlines())) <= 72


def test_no_figure_is_lost_by_stacking(smoke, analysis):
    """Every figure that a wide table has stands in the narrow one too, under the same head."""
    wide, narrow = (analysis("tables", smoke, "--format", "text", "--width", n).out.split() for n in (2000, 40))

    assert set(wide) - set(narrow) <= {word for word in wide if not word.strip("=-")}


def test_markdown_renders(smoke, analysis):
    """Every line of a Markdown table has as many cells as its head, and a rule follows the head."""
    blocks = analysis("tables", smoke, "--format", "markdown").out.split("\n\n")
    tables = [block.splitlines() for block in blocks if block.startswith("|")]

    assert len(tables) > 3
    for head, rule, *lines in tables:
        assert {line.count(" | ") for line in lines} == {head.count(" | ")}
        assert set(rule) <= set("|-: ")


def test_csv_has_every_figure_in_full(smoke, analysis, con):
    """CSV is one table with a line per figure, its value as the mart has it."""
    said = analysis("tables", smoke, "--format", "csv", "--cpus", "all", "--batch", "all", "--churn", "all")
    lines = [line for line in csv.DictReader(io.StringIO(said.out)) if line["table"] == "memory"]
    figures = {(line["design"], line["cpus"], line["batch"], line["churn_hz"]): line["value"] for line in lines}
    rows = con.sql("select design, cpus, batch, churn_hz, dead_bytes_end from memory_overhead").fetchall()

    assert figures == {tuple(map(str, row[:-1])): str(row[-1]) for row in rows}


def test_dropped_values_are_counted_and_can_be_asked_for(smoke, analysis):
    """A table says how many values of an axis it leaves out; the option it names shows them."""
    some, every = (analysis("tables", smoke, "--format", "text", "--only", "debate", *more).out
                   for more in ((), ("--batch", "all", "--churn", "all", "--cpus", "all")))  # fmt: skip

    assert "Not shown: " in some
    assert "--churn" in some
    assert "Not shown: " not in every


def test_an_option_names_what_the_run_has(smoke, analysis):
    """A value that the run lacks, a table, a form or a command that does not exist: one line, with what does."""
    for arguments, says in {
        ("tables", smoke, "--cpus", "7"): "--cpus must be of the run's ",
        ("tables", smoke, "--only", "memmory"): "did you mean memory?",
        ("tables", smoke, "--format", "markdwon"): "did you mean markdown?",
        ("tabels", smoke): "did you mean tables?",
        ("tables", smoke, "--formt", "text"): "--format",
        ("tables", smoke, "--setting", "nothing"): "--setting must be part of a setting",
    }.items():
        said = analysis(*arguments)

        assert (said.status, said.out, says in said.err) == (2, "", True), said
        assert said.err.count("\n") == 1, said
