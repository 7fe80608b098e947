"""What a first command costs: with nothing compiled yet, and after."""

from __future__ import annotations

import os
import subprocess
import sys
from itertools import count

import pytest

from tests.support import ROOT
from tests.support.contest import timed

pytestmark = pytest.mark.bench


def sweep(*arguments: str, cache: str | None = None) -> None:
    """Run a command line of the sweep to its end, with compiled code kept below the folder `cache`."""
    environment = {name: value for name, value in os.environ.items() if name != "NUMBA_CACHE_DIR"}
    if cache is not None:
        environment["XDG_CACHE_HOME"] = cache
    line = [sys.executable, "-m", "sweep", *arguments]
    subprocess.run(line, check=True, capture_output=True, cwd=ROOT, env=environment)


def test_cold_and_warm_smoke(compete, tmp_path):
    """smoke, inline: what compiling costs beside what simulating does; warm is what the same round compiled."""
    numbers = count()

    def smoke(cache: int) -> float:
        line = ("+experiment=smoke", "cluster=inline", f"out={tmp_path / f'out-{next(numbers)}'}")
        return timed(lambda: sweep(*line, cache=str(tmp_path / f"cache-{cache}")))

    cold, warm = count(), count()
    rows = compete(
        "smoke, 64 points inline",
        {"cold cache": lambda: smoke(next(cold)), "warm cache": lambda: smoke(next(warm))},
        rounds=2,
    )

    assert rows[1].times < 1


def test_help(compete):
    """`--help` beside an empty interpreter."""
    empty = [sys.executable, "-c", "pass"]
    rows = compete(
        "python -m sweep --help",
        {
            "empty interpreter": lambda: timed(lambda: subprocess.run(empty, check=True)),
            "python -m sweep --help": lambda: timed(lambda: sweep("--help")),
        },
        rounds=5,
    )

    assert rows[1].figure < 5
