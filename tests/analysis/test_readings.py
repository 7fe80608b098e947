"""Sentences are computed: other rows, other sentence."""

from __future__ import annotations

from collections.abc import Callable
from math import inf

import pytest

from analysis import readings
from analysis.answers import Answers, answers, few
from analysis.db import connect
from analysis.run import open_run


@pytest.fixture
def read(land) -> Callable[..., Answers]:
    """Land points and return what their one setting has to say."""

    def _read(points: list[dict[str, object]]) -> Answers:
        [ask] = answers(connect(open_run(str(land(points)))))
        return ask

    return _read


def test_memory(read):
    """The corner with the most CPUs and churn decides, and figures have the unit of the column."""
    points = [
        {"design": "page_ref", "cpus": 8, "lost_bytes_end": 2**40},
        {"design": "page_ref", "cpus": 64, "lost_bytes_end": 3 * 2**20},
        {"design": "objcg", "cpus": 64, "lost_bytes_end": 2**20},
    ]

    assert readings.memory(read(points)) == "At 64 CPUs and 0.1 Hz page_ref loses 3 MiB, objcg 1 MiB: 3 times."


def test_dying(read):
    """The design with most, where it has them, and who has none."""
    points = [{"design": "page_ref", "dying_memcgs_end": 7}, {"design": "objcg"}, {"design": "reparent_percpu"}]

    assert readings.dying(read(points)) == "page_ref has most, 7 at 8 CPUs and 0.1 Hz; reparent_percpu and objcg none."


def test_batch(read):
    """Designs that need the same batch are named together, with what it saves."""
    points = [
        {"design": design, "batch": batch, "shared_atomics": atomics}
        for design, costs in {"page_ref": (100, 50), "objcg": (100, 60), "page_list": (10, 10)}.items()
        for batch, atomics in zip((1, 32), costs, strict=True)
    ]

    assert readings.batch(read(points)) == (
        "Enough at every CPU count: 1 for page_list; "
        "32 for objcg and page_ref, saving 40% to 50% of the atomics of batch 1."
    )


def test_time(read):
    """A line that never saturates has no knee to tell."""
    points = [
        {"design": "objcg", "ns_per_object": 9.0, "knee_cpus": inf, "host_prices": "milan", "host_grade": "A"},
        {"design": "page_ref", "ns_per_object": 20.0, "ns_per_object_low": 10.0, "ns_per_object_high": 2000.0,
         "ns_per_object_uncontended": 5.0, "knee_cpus": inf, "host_prices": "milan", "host_grade": "A"},
    ]  # fmt: skip

    assert readings.time(read(points)) == (
        "On milan (grade A), all 8 CPUs charging, page_ref costs 20 ns per object (10 ns to 2 µs; 5 ns alone), "
        "objcg 9 ns."
    )


def test_crossover(read):
    """Stretches of CPU counts with one best design are told together."""
    best = {1: "page_ref", 2: "page_ref", 8: "objcg"}
    points = [
        {"design": design, "cpus": cpus, "atomics_per_object": 1.0 + (design != winner)}
        for cpus, winner in best.items()
        for design in ("page_ref", "objcg")
    ]

    said = readings.crossover(read(points))
    assert said.startswith("Least atomics_per_object: page_ref at 1 to 2, objcg at 8 CPUs; least lost_bytes_end:")


def test_few_keeps_the_ends():
    """A long axis is thinned evenly, and its largest value is never dropped."""
    assert few([1, 2, 4, 8, 16], 3) == [1, 4, 16]
    assert few([1, 2], 3) == [1, 2]
    assert few([1, 2, 4], 1) == [4]
