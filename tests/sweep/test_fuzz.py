"""Whole configurations made at random: run for real, or refused in one line; no traceback, no silly number."""

from __future__ import annotations

import itertools
import math
import os
import random
import resource
import shutil
import sys
from functools import cache
from pathlib import Path

import hydra
import pyarrow.parquet as pq
import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

import sweep.__main__
import sweep.asked
import sweep.command
from core.params import Point
from core.simulate import COLUMNS, simulate
from sweep.config import detect, hosts, kernels, schema
from sweep.config.defaults import point
from sweep.errors import InputError, one_line
from sweep.plan.planner import plan
from tests.support import CONF
from tests.support.rules import every_ruled_key

SMALL = ("cluster=inline", "duration_s=3600", "churn_hz=0.01", "cpus=4", "replicates=1")
MOST_BYTES = 2 << 30
MOST_S = 120  # of CPU: 20 s beside what such a small run should take, and what compiling may
GROUPS = {
    "kernel": ["linux-4.19", "linux-5.2", "linux-5.9", "linux-6.1", "linux-6.19", "tiny-5.3.1", "cloud-6.1"],
    "workload": ["containers", "serverless", "web_frontend", "systemd_timers", "desktop"],
    "host": ["xeon_guest_2v", "epyc_rome_2s64", "graviton3_64"],
}
NONSENSE = ("null", "nan", "inf", "-1", "text", "true", "0x10", "[1]", "{}", "'5.9'")
AXES = (
    ("cpus=[1,2,8]",),
    ("batch=[1,null,64]",),
    ("depth=[1,4]",),
    ("nodes=[1,2]",),
    ("design=[page_ref,objcg]",),
    ("uncharge_batched=[null,true,false]",),
    ("churn_hz={log: [0.001, 0.1, 3]}",),
    ("possible_cpus=[2,16]",),
    ("workload.lifetime_s=[10,600]",),
    ("protected_levels=[0,2]",),
    ("kernel=[linux-5.2,linux-6.1]",),
    ("cpus={}",),
    ("cpus=[a,1]",),
    ("cpus=[2,4]", "batch=[8,64]", "+zip=[[cpus,batch]]"),
    ("cpus=[2,4]", "batch=[8,16,64]", "+zip=[[cpus,batch]]"),
    ("churn_hz={log: [0.001, 0.1]}", "+sample={method: sobol, n: 4, seed: 1}"),
    ("churn_hz={log: [0.001, 0.1]}", "workload.in_use={lin: [0.1, 1]}", "+sample={method: lhs, n: 3, seed: 2}"),
    ("churn_hz={log: [0.001, 0.1]}",),
)
MORE = (
    "axes={}",
    "where='batch <= cpus'",
    "where='cpus > 1'",
    "where='cpus > 99'",
    "where='[cpus > 1]'",
    "where='design * 3 == 1'",
    "zip=[[cpus,nodes]]",
    "sample={method: lhs, n: 3, seed: 1}",
    "replicates=2",
)


@cache
def config_of(groups):
    """The config of some options, with no other override."""
    for each in (schema, detect, hosts, kernels):
        each.register()
    with hydra.initialize_config_dir(str(CONF), version_base="1.3"):
        return hydra.compose("config", [*groups, *SMALL])


@cache
def keys_of(groups):
    """Every key of a point that has a rule, with its rule and what it is."""
    return every_ruled_key(config_of(groups), (Point,))


def value_of(rule, present, pick):
    """A value for a key, as it is typed: mostly one that the rule allows, often one close to what it is."""
    if pick.random() < 0.1:
        return pick.choice(NONSENSE)
    if rule.names:
        return repr(pick.choice(rule.names))
    near = [present * factor for factor in (0.3, 0.9, 1.1, 2, 5)] if present else [1, 0.5, 7]
    value = pick.choice([*near, *near, rule.low, rule.high, rule.low - 1, rule.high * 2 + 1])
    return repr(int(value) if isinstance(rule.low, int) and pick.random() < 0.9 else value)


def line_of(seed):
    """Options and overrides, by number."""
    pick = random.Random(seed)
    options = random.Random(seed // 10)  # composing takes its time
    groups = tuple(f"{name}={options.choice(values)}" for name, values in GROUPS.items())
    chosen = {
        key: value_of(rule, present, pick)
        for key, rule, present in pick.sample(keys_of(groups), pick.choice((0, 1, 1, 2, 3)))
    }
    axes = [
        axis.removeprefix("+") if axis[0] == "+" else f"axes.{axis}"
        for axis in (pick.choice(AXES) if pick.random() < 0.6 else ())
    ] + pick.sample(MORE, pick.choice((0, 0, 0, 1)))
    swept = {axis.removeprefix("axes.").partition("=")[0] for axis in axes}
    base = dict(each.split("=", 1) for each in SMALL) | chosen
    return groups, [f"{key}={value}" for key, value in base.items() if key not in swept] + axes


def planned(seed):
    """Compose and plan a command line in this process; return what is wrong with the answer."""
    groups, line = line_of(seed)
    config = config_of(groups).copy()
    try:
        for each in OverridesParser.create().parse_overrides(line):
            if each.key_or_group not in ("cluster",):
                OmegaConf.update(config, each.key_or_group, each.value(), merge=False, force_add=True)
        schema.keep_every_rule(config)
        whole = plan(config, lambda group, name: config_of((f"{group}={name}",))[group])
        positions = whole.kept(whole.probes())
        return None if next(iter(positions), None) is not None else "a plan without a point"
    except (InputError, OmegaConfBaseException, HydraException) as error:
        told = one_line(error, schema.every_key())
        return None if told and "\n" not in told else f"not one line: {told}"
    except Exception as error:
        return f"a traceback: {error!r}"


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
            sys.argv = ["sweep", *line, f"out={folder / 'runs'}"]
            sweep.__main__.main()
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
    """Run command lines by their numbers; return those that were not answered well, and how many ran to their end."""
    found, ran = {}, 0
    for name in ("linux-4.19", "linux-6.1"):  # SLAB and SLUB: what is compiled here, no process of ours compiles again
        simulate([point(kernel=name, cpus=2, duration_s=60.0)])
    for seed in seeds:
        folder = Path(tmp_path) / str(seed)
        folder.mkdir()
        line = [*itertools.chain(*line_of(seed))]
        if (fault := faults(line, folder)) is not None:
            found[seed] = f"{fault}  <-  {' '.join(line)}"
        ran += (folder / "runs").exists()
        shutil.rmtree(folder)
    return found, ran


def test_configurations_are_planned_or_refused():
    """Forty whole configurations at random, composed and planned: a plan, or one line."""
    assert {seed: fault for seed in range(40) if (fault := planned(seed)) is not None} == {}


@pytest.mark.slow
def test_twenty_thousand_configurations_are_planned_or_refused():
    """The same, twenty thousand times."""
    assert {seed: fault for seed in range(20_000) if (fault := planned(seed)) is not None} == {}


@pytest.mark.long
def test_configurations_run_or_are_refused(tmp_path):
    """Forty configurations at random: rows that are finite and not negative, or one line and nothing written."""
    found, ran = fuzz(range(40), tmp_path)

    assert found == {}
    assert ran > 5


@pytest.mark.slow
def test_two_thousand_configurations_run_or_are_refused(tmp_path):
    """The same, two thousand times; MEMCG_SWEEP_FUZZ=FIRST:LAST for some of them."""
    first, _, last = os.environ.get("MEMCG_SWEEP_FUZZ", "0:2000").partition(":")
    found, ran = fuzz(range(int(first), int(last)), tmp_path)
    print(f"{int(last) - int(first)} command lines, {ran} run to their end")

    assert found == {}
