"""The cases of docs/cases.md: its commands are run, and print what the page says, near what was seen."""

import csv
import io
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[2] / "docs" / "cases.md"
FACTOR = 2.0  # that a prediction that counts may be off
PRINTED = 0.02  # of a value: the page says three digits, and another machine's NumPy may draw the last one otherwise


def cases():
    """Each case of the page: its title, its two commands as lists of words, and its rows of cells."""
    for section in PAGE.read_text("utf-8").split("\n## ")[1:]:
        code = re.search(r"((?:^    .*\n)+)", section, re.M).group(1).replace("\\\n", " ")
        sweep, query = code.split("python -m ")[1:]
        rows = [[cell.strip() for cell in line.split("|")[1:5]] for line in re.findall(r"^\|.*\|$", section, re.M)[2:]]
        yield pytest.param(shlex.split(sweep), shlex.split(query), rows, id=section.splitlines()[0])


def python(*words):
    """What `python -m` prints."""
    command = [sys.executable, "-m", *words]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=600).stdout


def off(observed, predicted):
    """By what factor a prediction is off; none seen and none predicted is no factor."""
    if observed == predicted:
        return 1.0
    return float("inf") if observed * predicted == 0 else max(observed / predicted, predicted / observed)


@pytest.mark.parametrize(("sweep", "query", "rows"), list(cases()))
def test_lines_that_count_are_within_a_factor_of_two(sweep, query, rows):
    """The page itself says nothing that counts and is farther off, and each case has a line that it is about."""
    assert sweep[0] == "sweep"
    assert query[:3] == ["analysis", "sql", "RUN"]
    assert rows
    for what, observed, predicted, role in rows:
        assert role in ("counts", "fitted", ""), what
        if role == "counts":
            assert off(float(observed), float(predicted)) <= FACTOR, what


@pytest.mark.slow
@pytest.mark.parametrize(("sweep", "query", "rows"), list(cases()))
def test_commands_print_what_the_page_says(sweep, query, rows, tmp_path):
    """Each case's command predicts the numbers beside it, in the order of the table."""
    run = python(*sweep, "cluster=inline", f"out={tmp_path}").splitlines()[-1]
    _, found = csv.reader(io.StringIO(python(*query[:2], run, *query[3:], "--format", "csv")))

    for (what, observed, predicted, role), value in zip(rows, map(float, found), strict=True):
        assert value == pytest.approx(float(predicted), rel=PRINTED, abs=1e-3), what
        if role == "counts":
            assert off(float(observed), value) <= FACTOR, what
