"""docs/workloads.md: every key of a workload is there, and what its examples read can be read."""

import re
import shlex
from pathlib import Path

import pytest

from core.keys import fields_of
from core.workload import ChargeMix, Leftover, Pin, Pins, Pressure, Workload
from sweep.config.observed import read_observed
from tests.support import CONF

ROOT = Path(CONF).parent
PAGE = (ROOT / "docs" / "workloads.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("record", [Workload, Leftover, Pin, Pins, Pressure, ChargeMix])
def test_every_key_is_explained(record):
    """A key that is added to a workload needs a line that says where it is read."""
    named = set(re.findall(r"`([a-z_.A-Z]+)`", PAGE))
    assert [name for name in fields_of(record) if name not in named] == []


def test_the_csv_files_of_the_examples_can_be_read():
    """Each `observed=` that is in the project is a CSV of a host."""
    paths = {
        word.partition("=")[2]
        for line in PAGE.splitlines()
        for word in shlex.split(line.replace("`", "").replace("'", ""))
        if word.startswith("observed=")
    }
    there = sorted(path for path in paths if (ROOT / path).is_file())

    assert there == ["conf/figures/seven_days.csv", "docs/workloads/pods.csv"]
    for path in there:
        assert read_observed(str(ROOT / path)).dying.size >= 3
