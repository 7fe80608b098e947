"""Axes, constraints and plans: hand-worked cases and properties."""

import math
import resource
import subprocess
import sys
import time
import tracemalloc
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sweep.errors import InputError
from sweep.plan import where
from sweep.plan.axes import Listed, Sampled, Spaced, parse
from sweep.plan.plan import Dim, Plan


def whole(value):
    """Take what an integer key takes."""
    if isinstance(value, float) and not value.is_integer():
        raise InputError("not whole")
    return int(value)


def every(axis):
    return axis.at(np.arange(len(axis))).tolist()


@pytest.mark.parametrize(
    ("spec", "values"),
    [
        ([8, 64], [8, 64]),
        ({"pow2": [1, 16]}, [1, 2, 4, 8, 16]),
        ({"pow2": [3, 9]}, [4, 8]),
        ({"lin": [1, 9, 5]}, [1, 3, 5, 7, 9]),
        ({"log": [1, 100, 3]}, [1, 10, 100]),
    ],
)
def test_an_axis_of_whole_numbers(spec, values):
    """Lists and ranges of an integer key give the integers one would write down."""
    axis = parse("cpus", spec, whole)

    assert every(axis) == values
    assert all(isinstance(value, int) for value in every(axis))


def test_a_log_range_has_round_decades():
    """A range over decades meets them exactly, so that churn 0.1 of one sweep joins churn 0.1 of another."""
    assert every(parse("churn_hz", {"log": [0.001, 10, 5]}, float)) == [0.001, 0.01, 0.1, 1.0, 10.0]


@pytest.mark.parametrize(
    ("spec", "part"),
    [
        ([], "must not be empty"),
        ([4, 4], "must not repeat"),
        ({"pow2": [1]}, "give 2 numbers"),
        ({"pow2": [8, 1]}, "low below high"),
        ({"pow2": [5, 7]}, "must not be empty"),
        ({"log": [0, 10, 3]}, "above 0"),
        ({"log": [1, 8, 30]}, "use fewer"),
        ({"lin": [1, 8, 1]}, "at least 2"),
        ({"lin": [1, math.inf, 3]}, "finite"),
        ({"lin": ["a", 8, 3]}, "finite"),
        ({"geo": [1, 8, 3]}, "pow2"),
        (5, "a list"),
        ({"lin": [1, 2, 3], "log": [1, 2, 3]}, "a list"),
    ],
)
def test_a_wrong_axis_is_refused(spec, part):
    """Each way to get an axis wrong is answered with what would be right."""
    with pytest.raises(InputError, match=part):
        parse("cpus", spec, whole)


def test_a_range_of_words_is_refused():
    """A key that is no number takes a list only."""
    with pytest.raises(InputError, match="as it is no number"):
        parse("design", {"lin": [1, 2, 3]}, str)


def test_a_range_without_a_count_is_drawn():
    """Two numbers are a range to sample, and numbers in [0, 1) fall into it evenly in its own spacing."""
    axis = parse("churn_hz", {"log": [0.1, 10]}, float)

    assert isinstance(axis, Sampled)
    assert axis.drawn(np.array([0.0, 0.5])).values == (0.1, 1.0)


@given(low=st.floats(1e-6, 1e3), ratio=st.floats(1.001, 1e6), n=st.integers(2, 200))
def test_ranges_rise_and_keep_their_ends(low, ratio, n):
    """A range is strictly increasing from its low to its high end."""
    high = float(f"{low * ratio:.6g}")
    low = float(f"{low:.6g}")
    values = every(Spaced("log", low, high, n, whole=False)) if low < high else [0, 1]

    assert values == sorted(values)
    assert low >= high or (values[0], values[-1]) == (low, high)


@pytest.mark.parametrize(
    ("expression", "points"),
    [
        ("batch <= 64 or cpus >= 8", [True, False, True]),
        ("design in ['objcg'] and not cpus == 1", [False, False, True]),
        ("1 < cpus * 2 <= batch", [True, True, False]),
        ("nodes == 1", [True, True, True]),
        ("batch % 64 != 0", [True, False, False]),
    ],
)
def test_where_is_python_over_columns(expression, points):
    """A constraint means at every point what Python would make of it there."""
    columns = {"cpus": np.array([1, 2, 300]), "batch": np.array([32, 128, 128]), "nodes": 1}
    columns["design"] = np.array(["page_ref", "page_ref", "objcg"])

    assert where.holds(expression, columns, 3).tolist() == points


@pytest.mark.parametrize(
    "expression",
    [
        "bath < 3",
        "cpus",
        "cpus <",
        "__import__('os')",
        "cpus.real > 1",
        "cpus ** 9 > 1",
        "[x for x in cpus]",
        "cpus < 'a'",
    ],
)
def test_where_knows_little(expression):
    """Anything but comparisons of keys is refused, and nothing is executed."""
    with pytest.raises(InputError, match="where"):
        where.holds(expression, {"cpus": np.array([1]), "batch": np.array([1])}, 1)


def plan_of(lengths, constraint=None):
    dims = tuple(
        Dim((path,), (Listed(tuple(range(1, length + 1))),))
        for path, length in zip(("churn_hz", "replicate", "cpus", "batch"), lengths, strict=True)
    )
    return Plan({"nodes": 1}, dims, constraint, {})


@given(lengths=st.tuples(*[st.integers(1, 5)] * 4), data=st.data())
def test_a_plan_is_a_product_in_order(lengths, data):
    """However a plan is cut, its pieces are the product of the axes, in order, each once."""
    plan = plan_of(lengths, "cpus <= batch")
    cuts = sorted(data.draw(st.sets(st.integers(0, plan.positions))) | {0, plan.positions})
    pieces = [plan.columns(*pair)[1] for pair in pairwise(cuts)]
    rows = [
        row
        for piece in pieces
        for row in zip(*(piece[p] for p in ("churn_hz", "replicate", "cpus", "batch")), strict=True)
    ]
    product = [tuple(i + 1 for i in at) for at in np.ndindex(*lengths) if at[2] <= at[3]]

    assert rows == product
    assert plan.count() == len(product)


def test_a_scenario_is_a_stretch():
    """The points of one scenario are neighbours: axes that designs are compared by turn fastest."""
    plan = plan_of((3, 2, 4, 5))

    assert plan.grain == 20
    assert set(plan.columns(20, 40)[1]["replicate"]) == {2}


def test_probes_show_every_value_and_every_pair():
    """Whatever value of whatever axis is out of range, or whatever two must not meet, a probe has it."""
    plan = plan_of((3, 2, 4, 5))
    probes = [plan.values(position) for position in plan.probes()]

    assert {(probe["cpus"], probe["batch"]) for probe in probes} == {(c, b) for c in range(1, 5) for b in range(1, 6)}
    assert {probe["batch"] for probe in probes} == {1, 2, 3, 4, 5}


def test_of_long_axes_the_ends_are_probed():
    """A plan of 10^9 points is probed at a few."""
    long = {path: Spaced("lin", 1, 1000, 1000, whole=True) for path in ("cpus", "batch", "possible_cpus")}
    plan = Plan({}, tuple(Dim((path,), (axis,)) for path, axis in long.items()), None, {})

    assert len(list(plan.probes())) == 3 * 2 + 3 * 4


def nulls(where=None):
    """Batches and designs, null among them, on two kernels whose own they are in turn."""
    own = ({"design": "page_ref", "charge_batch_pages": 32}, {"design": "objcg", "charge_batch_pages": 64})
    axes = {"kernel": ("old", "new"), "design": (None, "objcg"), "batch": (64, None, 8)}
    dims = tuple(Dim((path,), (Listed(values),)) for path, values in axes.items())
    return Plan({"kernel": own[0]}, dims, where, {"kernel": dict(zip(("old", "new"), own, strict=True))})


def test_what_resolves_to_the_same_is_one_point():
    """Of a null and the value that it stands for, the later is left out; on another kernel both are points."""
    columns = nulls().columns(0, 12)[1]

    assert list(zip(columns["kernel"], columns["design"], columns["batch"], strict=True)) == [
        ("old", None, 64), ("old", None, None), ("old", None, 8),
        ("old", "objcg", 64), ("old", "objcg", None), ("old", "objcg", 8),
        ("new", None, 64), ("new", None, 8),
    ]  # fmt: skip
    assert nulls().count() == 8


def test_where_sees_what_nulls_stand_for():
    """A constraint is on what is simulated, whichever way it was written."""
    columns = nulls("batch == 32 or design == 'objcg' and batch == 64").columns(0, 12)[1]

    assert list(zip(columns["kernel"], columns["design"], columns["batch"], strict=True)) == [
        ("old", None, None), ("old", "objcg", 64), ("old", "objcg", None), ("new", None, 64),
    ]  # fmt: skip


def test_a_zipped_null_is_what_it_stands_for_beside_its_pair():
    """Rows of axes walked together are compared whole."""
    values = {"kernel": ("old", "old", "new", "new"), "batch": (32, None, 32, None)}
    dims = (Dim(tuple(values), tuple(Listed(each) for each in values.values())),)
    plan = Plan(nulls().base, dims, None, nulls().options)

    assert plan.columns(0, 4)[1]["batch"] == [32, 32, None]


def test_a_count_walks_only_what_decides():
    """A constraint on two axes of a plan of 10^12 is counted on those two."""
    axes = {path: Spaced("lin", 1, 1000, 1000, whole=True) for path in ("cpus", "batch", "nodes", "seed")}
    plan = Plan({}, tuple(Dim((path,), (axis,)) for path, axis in axes.items()), "batch <= cpus", {})

    assert plan.count() == 500_500 * 10**6


def test_a_plan_of_1e8_points_is_walked_not_held():
    """The first task of 10^8 points is cut within 5 s, and walking the plan's positions takes next to no memory."""
    tracemalloc.start()
    began = time.monotonic()
    axes = {path: Spaced("lin", 1, 1000, 1000, whole=True) for path in ("cpus", "batch")}
    dims = (Dim(("replicate",), (Spaced("lin", 0, 99, 100, whole=True),)), *(Dim((p,), (a,)) for p, a in axes.items()))
    plan = Plan({}, dims, "batch <= cpus", {})
    first = plan.columns(0, 1000)[0].size
    took_s, peak_bytes = time.monotonic() - began, tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert plan.positions == 10**8
    assert first == 1
    assert took_s < 5
    assert peak_bytes < 10 << 20


FIRST_TASK = """
import os, sys
from pathlib import Path
from sweep import __main__
from sweep.engine import executors

def submit(self, task):
    peak = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    print(peak.split()[1], task.stop - task.start, file=sys.stderr, flush=True)
    os._exit(0)

executors.Inline.submit = submit
__main__.main()
"""


def test_a_sweep_of_1e8_points_begins_at_once(tmp_path):
    """From the command line to the first task of 10^8 points: under 5 CPU-s, and the driver is below 300 MiB."""
    axes = ("axes.cpus={lin: [1, 1000, 1000]}", "axes.batch={lin: [1, 1000, 1000]}", "replicates=100")
    line = [sys.executable, "-c", FIRST_TASK, *axes, "where='batch <= cpus'", "cluster=inline", f"out={tmp_path}"]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    said = subprocess.run(line, capture_output=True, text=True, timeout=120).stderr
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    took_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    peak_kib, positions = map(int, said.splitlines()[-1].split())

    assert "100,000,000 of 100,000,000 positions to do" in said
    assert positions > 0
    assert took_s < 5
    assert peak_kib < 300 << 10
