"""Sentences are computed: other rows, other sentence."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from math import inf

import pytest

from analysis import readings
from analysis.answers import Answers, answers, few
from analysis.held import holding
from analysis.run import open_run

MIB = 2**20


@pytest.fixture
def read(land) -> Callable[..., Answers]:
    """Land points and return what their one setting has to say."""

    def _read(points: list[dict[str, object]], **config: object) -> Answers:
        manifest = {"state": "complete", "experiment": "toy", "config": {"batch": 32} | config}
        [ask] = answers(holding(open_run(str(land(points, manifest=manifest)))))
        return ask

    return _read


def replicates(**figures: list[tuple[str, list[int]]]) -> list[dict[str, object]]:
    """A row per design and replicate of one column."""
    [(column, designs)] = figures.items()
    return [
        {"design": design, "scenario_id": f"s{n}", "replicate": n, column: value}
        for design, values in designs
        for n, value in enumerate(values)
    ]


def test_memory_speaks_of_the_configured_point(read):
    """The point nearest to the config decides, not the largest; figures have the unit of the column."""
    points = [
        {"design": design, "cpus": cpus, "dead_bytes_end": held * cpus}
        for design, held in {"page_ref": 3 * MIB, "objcg": MIB}.items()
        for cpus in (8, 64, 256)
    ]

    assert readings.memory(read(points, cpus=50, churn_hz=0.1)) == (
        "At 64 CPUs, batch 32 and 0.1 Hz page_ref holds 192 MiB for gone memcgs, objcg 64 MiB: 3 times."
    )


def test_a_kernels_own_batch_is_the_configured_one_where_none_is_given(read):
    """A config that leaves the batch to its kernel, 64, is nearest to 32 of 1 and 32."""
    points = [{"batch": batch, "dead_bytes_end": batch} for batch in (1, 32)]

    assert read(points, batch=None, kernel={"charge_batch_pages": 64}).point.batch == 32


def test_what_is_asked_for_decides_before_the_config(read):
    """Of the values that tables are asked for, the sentence speaks of those, the nearest among them."""
    points = [{"cpus": cpus, "dead_bytes_end": cpus} for cpus in (8, 64, 256)]
    ask = replace(read(points, cpus=8), asked_for={"cpus": [64, 256]})

    assert ask.point.cpus == 64


def test_a_mean_has_its_interval(read):
    """Of 10, 20 and 30 MiB the mean is 20 and half its interval 4.303 * 10 / sqrt(3) = 25 MiB."""
    points = replicates(dead_bytes_end=[("page_ref", [10 * MIB, 20 * MIB, 30 * MIB])])

    assert "page_ref holds 20 ±25 MiB for gone memcgs." in readings.memory(read(points))


def test_noise_is_no_fact(read):
    """Two designs whose paired difference has an interval about zero are not told apart; three times as many are."""
    points = replicates(
        dying_memcgs_end=[("page_ref", [300, 310, 290]), ("reparent_percpu", [100, 120, 90]), ("objcg", [110, 99, 104])]
    )

    assert readings.dying(read(points)) == (
        "At 8 CPUs, batch 32 and 0.1 Hz page_ref leaves 300 ±25 dying memcgs, reparent_percpu 103 ±38: 2.9 times; "
        "objcg is not told apart from it."
    )


def test_nothing_is_told_of_equal_designs(read):
    """Where the extremes are not told apart, nobody has most."""
    points = replicates(dying_memcgs_end=[("page_ref", [208, 180, 230]), ("objcg", [205, 190, 220])])

    assert "no two designs are told apart" in readings.dying(read(points))


def test_what_runs_out_of_memory_is_no_headline(read):
    """A design that the host cannot hold is named as such, and its figure is left out."""
    points = [
        {"design": "page_ref", "dead_bytes_end": 900 * MIB, "out_of_memory_s": 5.0},
        {"design": "reparent_percpu", "dead_bytes_end": 3 * MIB, "out_of_memory_s": None},
        {"design": "objcg", "dead_bytes_end": MIB, "out_of_memory_s": None},
    ]
    said = readings.memory(read(points))

    assert "reparent_percpu holds 3 MiB" in said
    assert "900" not in said
    assert said.endswith("page_ref runs out of the host's memory there.")


def test_batch(read):
    """Designs that need the same batch are named together, with what it saves."""
    points = [
        {"design": design, "batch": batch, "atomics_per_page_charge": atomics}
        for design, costs in {"page_ref": (100.0, 50.0), "objcg": (100.0, 60.0), "page_list": (10.0, 10.0)}.items()
        for batch, atomics in zip((1, 32), costs, strict=True)
    ]

    assert readings.batch(read(points)) == (
        "At 8 CPUs and 0.1 Hz a batch is enough within 5 % of the fewest atomics: 1 for page_list; "
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
        "At 8 CPUs, batch 32 and 0.1 Hz page_ref costs 20 ns per object, objcg 9 ns: 2.22 times. Prices of milan, "
        "grade A, every CPU charging: page_ref 10 ns to 2 µs by their band, 5 ns alone."
    )


def test_crossover(read):
    """Stretches of CPU counts with the same best designs are told together, ties as such."""
    best = {1: "page_ref", 2: "page_ref", 8: "objcg"}
    points = [
        {"design": design, "cpus": cpus, "atomics_per_object": 1.0 + (design != winner), "ns_per_object": 7.0}
        for cpus, winner in best.items()
        for design in ("page_ref", "objcg")
    ]

    said = readings.best_by_cpus(read(points))
    assert "least atomics per object: page_ref at 1 to 2, objcg at 8 CPUs;" in said
    assert "least time per object: page_ref or objcg at every CPU count" in said


def test_pareto(read):
    """A design that another beats in one of memory, atomics and time, and nowhere loses to, is named with it."""
    points = [
        {"design": "page_ref", "dead_bytes_end": 9.0, "atomics_per_object": 1.0, "ns_per_object": 5.0},
        {"design": "reparent_percpu", "dead_bytes_end": 4.0, "atomics_per_object": 1.0, "ns_per_object": 5.0},
        {"design": "objcg", "dead_bytes_end": 1.0, "atomics_per_object": 3.0, "ns_per_object": 9.0},
    ]

    assert readings.pareto(read(points)) == (
        "At 8 CPUs, batch 32 and 0.1 Hz nobody should choose: page_ref (beaten by reparent_percpu); "
        "at no point of the grid: page_ref."
    )


def test_few_keeps_the_ends_and_what_is_asked_for():
    """A long axis is thinned evenly, and its largest value and the wanted one are never dropped."""
    assert few([1, 2, 4, 8, 16], 3) == [1, 4, 16]
    assert few([1, 2], 3) == [1, 2]
    assert few([1, 2, 4], 1) == [4]
    assert few([1, 2, 4, 8, 16], 3, keep=8) == [1, 8, 16]
