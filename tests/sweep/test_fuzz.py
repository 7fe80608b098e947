"""Whole configurations made at random: run for real, or refused in one line; no traceback, no silly number."""

from __future__ import annotations

import math
import os
import random
import resource
import sys
import typing
from dataclasses import is_dataclass
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from core.params import Point
from core.simulate import COLUMNS
from sweep.config import schema

SMALL = ("cluster=inline", "duration_s=3600", "churn_hz=0.01", "cpus=4", "replicates=1")
MOST_BYTES = 2 << 30
MOST_S = 120  # of CPU: 20 s beside what such a small run should take, and what compiling may
OPTIONS = {
    "kernel": ["linux-4.19", "linux-5.2", "linux-5.9", "linux-6.1", "linux-6.19", "tiny-5.3.1", "cloud-6.1"],
    "workload": ["containers", "serverless", "web_frontend", "systemd_timers", "desktop"],
    "host": ["xeon_guest_2v", "epyc_rome_2s64", "graviton3_64"],
    "design": ["unaccounted", "page_ref", "reparent_atomic", "reparent_percpu", "page_list", "reuse_dead", "objcg"],
    "allocator": ["slub", "slab"],
    "objcg_as_of": ["'5.9'", "'5.15'", "'6.1'", "null"],
}
NUMBERS = (
    "0", "1", "2", "3", "7", "64", "0.5", "1e-9", "0.999", "1000", "-1", "-0.1", "null", "1e12", "nan", "text", "true",
)  # fmt: skip
AXES = (
    "axes.cpus=[1,2,8]",
    "axes.batch=[1,null,64]",
    "axes.depth=[1,4]",
    "axes.nodes=[1,2]",
    "axes.design=[page_ref,objcg]",
    "axes.uncharge_batched=[null,true,false]",
    "axes.churn_hz={log: [0.001, 0.1, 3]}",
    "axes.possible_cpus=[2,16]",
    "axes.workload.lifetime_s=[10,600]",
    "axes.protected_levels=[0,2]",
    "axes={}",
    "axes.cpus={}",
)
MORE = (
    "where='batch <= cpus'",
    "where='cpus > 1'",
    "where='cpus > 99'",
    "where='[cpus > 1]'",
    "zip=[[cpus,batch]]",
    "replicates=2",
)


def scalars(cls, prefix=""):
    """Yield the path of every number and truth value of a point."""
    for name, hint in typing.get_type_hints(cls).items():
        inner = [each for each in (hint, *typing.get_args(hint)) if isinstance(each, type)]
        if any(is_dataclass(each) for each in inner):
            if typing.get_origin(hint) is not dict:
                yield from scalars(next(each for each in inner if is_dataclass(each)), f"{prefix}{name}.")
        elif {int, float, bool} & set(inner):
            yield f"{prefix}{name}"


KEYS = [key for key in scalars(Point) if key not in (schema.PLANNED, "duration_s", "churn_hz")]


def line_of(seed):
    """A command line, by its number."""
    pick = random.Random(seed)
    chosen = {name: pick.choice(values) for name, values in OPTIONS.items() if pick.random() < 0.3}
    for key in pick.sample(KEYS, pick.choice((0, 1, 1, 2))):
        chosen[key] = pick.choice(NUMBERS)
    axes = pick.sample(AXES, pick.choice((0, 1, 1, 2))) + pick.sample(MORE, pick.choice((0, 0, 1)))
    swept = {axis.removeprefix("axes.").partition("=")[0] for axis in axes}
    base = dict(each.split("=", 1) for each in SMALL) | chosen
    return [f"{key}={value}" for key, value in base.items() if key not in swept] + axes


def forked(line, folder):
    """Run a command line in a process like this one; return its exit status and what it said."""
    child = os.fork()
    if child == 0:
        for number, name in ((1, "out"), (2, "err")):
            os.dup2(os.open(folder / name, os.O_WRONLY | os.O_CREAT), number)
        sys.stdout, sys.stderr = os.fdopen(1, "w", closefd=False), os.fdopen(2, "w", closefd=False)
        resource.setrlimit(resource.RLIMIT_CPU, (MOST_S, MOST_S + 5))
        os.chdir(folder)
        status = 70
        try:
            from sweep.__main__ import main

            sys.argv = ["sweep", *line, f"out={folder / 'runs'}"]
            main()
        except SystemExit as end:
            status = int(end.code or 0)
        except BaseException as error:  # it is told by the parent
            print(f"Traceback: {error!r}", file=sys.stderr)
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)
    _, status, used = os.wait4(child, 0)
    return os.waitstatus_to_exitcode(status), (folder / "err").read_text(errors="replace"), used


def faults(line, folder):  # noqa: PLR0911 (one return for each kind of fault)
    """What is wrong with the answer to a command line; None if nothing is."""
    status, said, used = forked(line, folder)
    told = said.splitlines()
    if "Traceback" in said:
        return f"a traceback: {told[-1]}"
    if used.ru_maxrss << 10 > MOST_BYTES:
        return f"{used.ru_maxrss >> 10} MiB"
    if status == 2:
        if not told or not told[-1].startswith("memcg-sweep: "):
            return f"refused without saying so: {told}"
        return "refused, and something was written" if (folder / "runs").exists() else None
    if status != 0:
        return f"exit {status}: {told[-1:]}"
    for file in (folder / "runs").glob("*/*/points/*.parquet"):
        table = pq.read_table(file)
        for name in set(COLUMNS) & set(table.column_names):
            values = table[name].to_pylist()
            if isinstance(values[0], float | int) and not all(each is None or may_stand(name, each) for each in values):
                return f"{name} is {min(values)}"
    return None


def may_stand(name, value):
    """Whether a number may stand in a column: a difference may be negative, a limit that is never met infinite."""
    if math.isnan(value):
        return False
    return value >= 0 or "lost" in name or COLUMNS[name].doc.startswith(("difference", "what it is more"))


def fuzz(seeds, tmp_path):
    """Try command lines by their numbers; return those that were not answered well."""
    found = {}
    for seed in seeds:
        folder = Path(tmp_path) / str(seed)
        folder.mkdir()
        if (fault := faults(line_of(seed), folder)) is not None:
            found[seed] = f"{fault}  <-  {' '.join(line_of(seed))}"
    return found


@pytest.mark.long
def test_configurations_run_or_are_refused(tmp_path):
    """Forty configurations at random: rows that are finite and not negative, or one line and nothing written."""
    assert fuzz(range(40), tmp_path) == {}


@pytest.mark.slow
def test_two_thousand_configurations_run_or_are_refused(tmp_path):
    """The same, two thousand times."""
    assert fuzz(range(2000), tmp_path) == {}
