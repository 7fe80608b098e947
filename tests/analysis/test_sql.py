"""`python -m analysis sql`: rows out in every form, one readable line for everything else."""

from __future__ import annotations

import csv
import io
import json
import os
import time

import pyarrow.parquet as pq
import pytest

TWO = [{"design": "objcg", "cpus": 8, "lost_bytes_end": 5}, {"design": "page_ref", "cpus": 64, "lost_bytes_end": 7}]
QUERY = "select design, cpus, avg(lost_bytes_end) as lost from points group by all order by all"
ROWS = [{"design": "objcg", "cpus": 8, "lost": 5.0}, {"design": "page_ref", "cpus": 64, "lost": 7.0}]


def test_json(land, analysis):
    """--format json prints an array of objects."""
    said = analysis("sql", land(TWO), QUERY, "--format", "json")

    assert (said.status, json.loads(said.out)) == (0, ROWS)


def test_csv(land, analysis):
    """--format csv prints a header and a line per row."""
    said = analysis("sql", land(TWO), QUERY, "--format", "csv")

    assert list(csv.reader(io.StringIO(said.out))) == [
        ["design", "cpus", "lost"],
        ["objcg", "8", "5.0"],
        ["page_ref", "64", "7.0"],
    ]


def test_json_has_no_word_for_infinity(land, analysis):
    """A line that never saturates has an infinite knee, which JSON readers would choke on: it is null."""
    said = analysis("sql", land([{"knee_cpus": float("inf")}]), "select knee_cpus from points", "--format", "json")

    assert json.loads(said.out, parse_constant=pytest.fail) == [{"knee_cpus": None}]


def test_columns_of_one_name(land, analysis):
    """CSV keeps both columns of one name; formats that cannot say so in one line."""
    query = "select 1 as a, 2 as a"

    assert analysis("sql", land(TWO), query, "--format", "csv").out == "a,a\n1,2\n"
    assert analysis("sql", land(TWO, name="b"), query, "--format", "json").err == (
        "SQL must name each column once for --format json (got a twice); add `as NAME`\n"
    )


def test_parquet_has_no_intervals(land, analysis, tmp_path):
    """A type that Parquet lacks is told in one line, and no file is left."""
    said = analysis("sql", land(TWO), "select interval 1 day", "--format", "parquet", "-o", tmp_path / "x.parquet")

    assert (said.status, said.err.count("\n")) == (2, 1)
    assert not list(tmp_path.glob("x.*"))


def test_parquet_into_a_file(land, analysis, tmp_path):
    """-o writes the rows whole, and leaves nothing else behind."""
    to = tmp_path / "out" / "answer.parquet"
    to.parent.mkdir()
    said = analysis("sql", land(TWO), QUERY, "--format", "parquet", "-o", to)

    assert (said.status, said.out) == (0, "")
    assert pq.read_table(to).to_pylist() == ROWS
    assert [path.name for path in to.parent.iterdir()] == ["answer.parquet"]


def test_table_is_plain_in_a_pipe(land, analysis):
    """A table that is no terminal's has no colour and is not cut at 80 columns."""
    said = analysis("sql", land(TWO), "select repeat('x', 300) as wide, cpus from points order by cpus")
    head, rule, first, second = (line for line in said.out.splitlines() if line.strip())

    assert head.split() == ["wide", "cpus"]
    assert set(rule.strip()) == {"─"}
    assert (first.split(), second.split()) == (["x" * 300, "8"], ["x" * 300, "64"])


def test_settings_are_what_was_swept_beside_the_grid(land, analysis):
    """A column that is neither of the grid nor of the scenario and that differs between points names the setting."""
    run = land([{"depth": 1, "possible_cpus": None}, {"depth": 3, "possible_cpus": 128}])
    said = analysis("sql", run, "select setting from points order by all", "--format", "json")

    assert [row["setting"] for row in json.loads(said.out)] == ["depth=1", "depth=3 possible_cpus=128"]


def test_an_experiment_means_its_newest_run(land, analysis):
    """The folder of an experiment stands for the run whose manifest was written last, and says which."""
    old, new = land([{"cpus": 1}], name="old"), land([{"cpus": 2}], name="new")
    past = time.time() - 60
    os.utime(old / "manifest.json", (past, past))
    said = analysis("sql", new.parent, "select cpus from points", "--format", "json")

    assert json.loads(said.out) == [{"cpus": 2}]
    assert said.err == f"run: {new}\n"


def test_json_lines(land, analysis):
    """--format jsonl prints an object per line."""
    said = analysis("sql", land(TWO), QUERY, "--format", "jsonl")

    assert [json.loads(line) for line in said.out.splitlines()] == ROWS


def test_markdown(land, analysis):
    """--format markdown prints a table whose numbers are right-aligned and whose bars are escaped."""
    said = analysis("sql", land(TWO), "select 'a|b' as name, 1.5 as n", "--format", "markdown")

    assert said.out == "| name | n |\n| --- | --: |\n| a\\|b | 1.5 |\n"


def test_line(land, analysis):
    """--format line prints a column per line, and an empty line between rows."""
    said = analysis("sql", land(TWO), QUERY, "--format", "line")

    assert said.out == "design = objcg\n  cpus = 8\n  lost = 5\n\ndesign = page_ref\n  cpus = 64\n  lost = 7\n"


def test_a_query_from_a_file_or_stdin(land, analysis, tmp_path, monkeypatch):
    """-f names a file, - is stdin; both a query and a file, or neither, is told in one line."""
    run, file = land(TWO), tmp_path / "query.sql"
    file.write_text(QUERY)
    monkeypatch.setattr("sys.stdin", io.StringIO(QUERY))

    for arguments in (("-f", file), ("-f", "-")):
        assert json.loads(analysis("sql", run, *arguments, "--format", "json").out) == ROWS
    for arguments in ((QUERY, "-f", file), (), ("-f", tmp_path / "nowhere.sql")):
        said = analysis("sql", run, *arguments)
        assert (said.status, said.out, said.err.count("\n")) == (2, "", 1)


def test_a_caret_shows_where(land, analysis):
    """Below the message stand the line of SQL that is wrong, and a caret under the word."""
    said = analysis("sql", land(TWO), "select cpus,\n  desing from points")
    message, line, caret = said.err.splitlines()

    assert 'Candidate bindings: "design"' in message
    assert line == "LINE 2:   desing from points"
    assert line[caret.index("^") :].startswith("desing")
    assert caret.strip() == "^" * len("desing")


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ("select desing from points", 'Candidate bindings: "design"'),
        ("select 1 from pionts", 'Did you mean "points"?'),
        ("select 1; select 2", "SQL must be one query that reads (got SELECT, SELECT)"),
        ("/* nothing */", "SQL must be one query that reads (got nothing)"),
        ("", "SQL must be given once (got none)"),
        ("selec 1", 'syntax error at or near "selec"'),
        ("select 'x'::int", "Could not convert string 'x' to INT32"),
        ("select '\udcff'", "SQL must be UTF-8"),
        ("drop view points", "SQL must be one query that reads (got DROP)"),
        ("copy points to 'points.csv'", "SQL must be one query that reads (got COPY)"),
        ("select * from read_csv('/etc/passwd')", "file system operations are disabled"),
        ("from '/etc/passwd'", "/etc/passwd"),
    ],
)
def test_a_bad_query_is_one_line_and_a_caret(land, analysis, query, says):
    """Whatever is wrong with the SQL is told in one line with DuckDB's advice, and the exit status is 2."""
    said = analysis("sql", land(TWO), query)
    message, *picture = said.err.splitlines()

    assert (said.status, said.out) == (2, "")
    assert says in message
    assert [line[:5] for line in picture[:1]] == ["LINE "] * bool(picture)
    assert len(picture) in {0, 2}


def test_a_bad_run_is_one_line(land, analysis, tmp_path):
    """A RUN that is none is told in one line that says what was found instead."""
    run = land(TWO)
    broken = tmp_path / "toy" / "broken"
    broken.mkdir()
    (broken / "manifest.json").write_text("{")
    for where, says in {
        tmp_path / "nowhere": "is not there",
        run / "points": "holds nothing",
        tmp_path: "holds toy",
        broken: "manifest.json is damaged",
        "ftp://host/run": "must be a folder, s3://",
    }.items():
        said = analysis("sql", where, "select 1")

        assert (said.status, said.err.count("\n")) == (2, 1), said
        assert says in said.err


def test_a_run_with_holes_is_refused(land, analysis):
    """A run with failed points is answered from only after --partial."""
    run = land(TWO, manifest={"state": "partial", "failed": [{}, {}, {}]})
    refused, told = analysis("sql", run, QUERY), analysis("sql", run, QUERY, "--partial", "--format", "json")

    assert (refused.status, told.status) == (2, 0)
    assert "3 points failed" in refused.err
    assert json.loads(told.out) == ROWS


def test_a_run_that_was_stopped_says_what_is_missing(land, analysis):
    """Of a run that has not ended the parts are read, no point twice, and the rest is counted."""
    run = land(TWO, manifest={"state": "stopped", "positions": 9, "files": []})
    whole, parts = run / "points" / "00000.parquet", run / "parts" / "points"
    parts.mkdir(parents=True)
    for name in ("0-2", "1-2"):
        (parts / f"{name}.parquet").write_bytes(whole.read_bytes())
    refused, told = analysis("sql", run, QUERY), analysis("sql", run, QUERY, "--partial", "--format", "json")

    assert "it is stopped: 7 of 9 points missing" in refused.err
    assert json.loads(told.out) == ROWS
    assert json.loads(
        analysis("sql", run, "select count(*) as n from points", "--partial", "--format", "json").out
    ) == [{"n": 2}]


def test_a_run_that_grows_has_no_number_missing(land, analysis):
    """A run that adds points by rounds was stopped before it knew how many there would be."""
    said = analysis("sql", land(TWO, manifest={"state": "stopped", "positions": 1}), QUERY)

    assert (said.status, said.err.count("\n")) == (2, 1)
    assert "2 points landed, and more were to follow" in said.err


def test_a_torn_file_is_one_line(land, analysis):
    """A file that was cut off is told in one line, whichever it is."""
    for name, content in {"head": b"PAR1", "empty": b""}.items():
        run = land(TWO, name=name)
        (run / "points" / "00000.parquet").write_bytes(content)
        said = analysis("sql", run, QUERY)

        assert (said.status, said.out, said.err.count("\n")) == (2, "", 1)


def test_a_run_without_points_has_no_tables(land, analysis):
    """Tables and report are of sweeps; of another run, and of one with no design that accounts, they say so."""
    for run in (land([], series=[{"t_s": 1.0}]), land([{"design": "unaccounted"}], name="floor")):
        for command in ("tables", "report"):
            said = analysis(command, run)

            assert (said.status, said.out, said.err.count("\n")) == (2, "", 1)
            assert said.err.startswith("RUN must ")
