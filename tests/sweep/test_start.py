"""What a first command costs: help texts and a shown config wait for no library that computes."""

import re
import resource
import subprocess
import sys

import pytest

HEAVY = {"ray", "pyarrow", "numba", "llvmlite", "duckdb", "scipy", "numpy", "rich", "matplotlib"}
OF_SWEEP = ("-m", "sweep")


def ran(*arguments):
    """What a process of Python printed, what it imported, and its CPU-seconds."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    line = [sys.executable, "-X", "importtime", *arguments]
    done = subprocess.run(line, capture_output=True, text=True, check=True, timeout=120)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    imported = {name.partition(".")[0] for name in re.findall(r"^import time:.*\|\s*(\S+)$", done.stderr, re.MULTILINE)}
    return done.stdout, imported, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


@pytest.mark.parametrize(
    ("arguments", "none_of"),
    [
        (OF_SWEEP, HEAVY | {"hydra"}),
        ((*OF_SWEEP, "--version"), HEAVY | {"hydra"}),
        ((*OF_SWEEP, "--help"), HEAVY),
        ((*OF_SWEEP, "+experiment=churn", "--cfg", "job"), HEAVY),
        (("-m", "analysis", "--help"), {"ray", "numba", "scipy", "matplotlib", "hydra"}),
    ],
)
def test_what_only_shows_something_imports_nothing_that_computes(arguments, none_of):
    """Neither a help text nor a config needs NumPy, pyarrow or Ray; with no argument, not even Hydra."""
    said, imported, _ = ran(*arguments)

    assert said
    assert "encodings" in imported
    assert imported & none_of == set()


@pytest.mark.parametrize(
    ("modules", "none_of"),
    [
        ("sweep.jobs.simulation, core.simulate, sweep.engine.store", {"hydra", "omegaconf", "ray", "duckdb"}),
        ("sweep.asked, sweep.jobs.simulation, sweep.jobs.outlook, sweep.engine.on_ray", {"numba", "duckdb", "scipy"}),
    ],
)
def test_worker_and_driver_import_no_more_than_they_need(modules, none_of):
    """A worker composes no config, and a driver computes nothing: each would take time and memory in every process."""
    _, imported, _ = ran("-c", f"import {modules}")

    assert "numpy" in imported
    assert imported & none_of == set()


def test_help_takes_less_than_five_imports_of_hydra():
    """The config is composed once, and Hydra's own groups are not listed: 3.4 times, where Hydra takes 6."""
    helps, imports = (min(ran(*line)[2] for _ in range(3)) for line in ((*OF_SWEEP, "--help"), ("-c", "import hydra")))

    assert helps < 5 * imports


def test_help_is_that_of_hydra_without_what_options_are_made_of():
    """Groups, keys and the command line's own values are those that Hydra shows, which also lists its `_` files."""
    line = (*OF_SWEEP, "--help", "+experiment=debate", "batch=7", "kernel=5.10")
    theirs, _, _ = ran(*line, "--config-name=config")
    ours, _, _ = ran(*line)

    assert "batch: 7\n" in ours
    assert "kernel: arm64-6.1-4k" in ours
    assert ours.strip() == re.sub(r"(?<=[ ])_[\w.-]+, ", "", theirs).strip()
