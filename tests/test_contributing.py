"""The recipes of CONTRIBUTING.md, followed to the letter in a copy of this tree."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import ROOT

SECTIONS = re.split(r"^## (.+)\n", (ROOT / "CONTRIBUTING.md").read_text(), flags=re.MULTILINE)[1:]
BLOCKS = {
    title: re.findall(r"^```sh\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    for title, text in zip(SECTIONS[::2], SECTIONS[1::2], strict=True)
}
RECIPES = {title: found[0] for title, found in BLOCKS.items() if found}
SAYS = {  # what the last lines of a recipe must show
    "A design": "toy",
    "An axis": "slowdown",
    "A kernel": "results/point/",
    "A host": "results/point/",
    "A question": "zombies",
    "An experiment": "results/mine/",
}


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    """A copy of what is needed to run, and a shell whose python is this one."""
    copy = tmp_path_factory.mktemp("tree")
    for name in ("core", "conf", "sweep", "analysis", "tests", "docs"):
        shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "CONTRIBUTING.md", "CHANGELOG.md", "Makefile"):
        shutil.copy(ROOT / name, copy / name)
    environment = os.environ | {"PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])}

    def follow(code):
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", code], cwd=copy, env=environment, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    return follow


def test_every_recipe_is_tried():
    """No recipe is without its test."""
    assert RECIPES.keys() == SAYS.keys()


@pytest.mark.long
@pytest.mark.parametrize("title", SAYS)
def test_a_recipe_works_as_it_stands(title, tree):
    """Whoever types a recipe's block has what it promises."""
    assert SAYS[title] in tree(RECIPES[title])


@pytest.mark.long
def test_the_new_axis_counts(tree):
    """The new axis is in the rows: twice the factor, twice the time, at every other setting."""
    query = (
        "select (max(ns_per_page_charge) / min(ns_per_page_charge))::decimal(9, 3) as twice from points "
        "where ns_per_page_charge > 0 group by design, cpus, batch, churn_hz"
    )
    said = tree(f"python -m analysis sql results/smoke 'select distinct twice from ({query})' --format csv")

    assert said.split() == ["twice", "2.000"]


@pytest.mark.long
def test_the_new_design_is_checked_and_coloured(tree):
    """The new design is met by the shared suite, and tables and charts know its colour."""
    said = tree("python -m pytest -q --collect-only tests -k toy; python -c 'from analysis.palette import color; "
                'print(color("toy"))\'')  # fmt: skip

    assert len([line for line in said.splitlines() if "::" in line]) > 5
    assert "#1b3a8c" in said
