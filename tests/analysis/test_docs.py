"""The pages under docs/ that speak of results say what the code says."""

from __future__ import annotations

import importlib.util
import re
import shlex

import pytest

from analysis import docs
from analysis.marts import marts


@pytest.mark.parametrize("page", ["keys", "results", "queries"])
def test_pages_are_up_to_date(page):
    """docs/ is what `python -m analysis.docs` writes: run it after a column, a unit or a mart has changed."""
    assert (docs.DOCS / f"{page}.md").read_text("utf-8") == getattr(docs, page)()


def test_every_key_is_explained():
    """A key says in a comment what it is, and a number what it may be and in which unit."""
    rows = [[cell.strip() for cell in line.split(" | ")] for line in docs.keys().splitlines() if line.startswith("| `")]

    assert len(rows) > 150
    assert [row[0] for row in rows if not row[4].strip(" |")] == []
    assert [
        row[0] for row in rows if "number" in row[1] and not (row[2] and (row[3] or row[2].startswith("one of")))
    ] == []


def test_every_mart_states_question_and_grain():
    """A query says what it asks, and what a row is."""
    for mart in marts().values():
        assert mart.question.endswith("?"), mart.name
        assert mart.grain.startswith("one row per ("), mart.name


def test_examples_run(smoke, analysis):
    """Every command in docs/queries.md runs on a smoke run and finds rows."""
    commands = re.findall(r"^    python -m analysis (.+)$", docs.queries(), re.MULTILINE)

    assert len(commands) > 3
    for command in commands:
        said = analysis(*(smoke if word == "RUN" else word for word in shlex.split(command)), "--format", "csv")
        assert (said.status, said.err) == (0, ""), command
        assert len(said.out.splitlines()) > 1, command


def test_python_page_runs(smoke, tmp_path, monkeypatch):
    """The blocks of docs/python.md run in order, but for those of libraries that are not installed."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "results" / "smoke").mkdir(parents=True)
    (tmp_path / "results" / "smoke" / smoke.name).symlink_to(smoke)
    blocks = re.findall(r"```python\n(.*?)```", (docs.DOCS / "python.md").read_text("utf-8"), re.DOTALL)
    missing = [name for name in ("pandas", "polars") if importlib.util.find_spec(name) is None]
    known: dict[str, object] = {}

    assert len(blocks) > 5
    for block in blocks:
        if not any(name in block or (name == "pandas" and re.search(r"to_(pandas|df)", block)) for name in missing):
            exec(compile(block, "docs/python.md", "exec"), known)
    assert set(known["designs"]) == {"page_ref", "reparent_percpu", "objcg"}
