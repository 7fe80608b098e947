"""Every mart on a few rows whose answer is known by hand."""

from __future__ import annotations

from collections.abc import Callable
from math import inf, sqrt
from typing import Any

import pytest

from analysis.db import connect
from analysis.marts import marts
from analysis.run import open_run

Rows = list[dict[str, Any]]


@pytest.fixture
def ask(land) -> Callable[..., Rows]:
    """Land points, ask a query, and get rows as dicts."""

    def _ask(points: Rows, query: str) -> Rows:
        return connect(open_run(str(land(points)))).sql(query).to_arrow_table().to_pylist()

    return _ask


def pairs(**figures: tuple[Any, ...]) -> Rows:
    """One scenario seen by unaccounted, page_ref and objcg, in this order; a figure is given for each."""
    designs = ("unaccounted", "page_ref", "objcg")
    return [
        {"design": name} | {key: values[place] for key, values in figures.items()} for place, name in enumerate(designs)
    ]


def test_memory(ask):
    """memory takes apart the name of each memory_bytes_* column, and loses no byte."""
    rows = ask([{"memory_bytes_live_kernfs": 5, "memory_bytes_dead_slab_waste": 7}],
               "select state, component, bytes from memory where bytes > 0 order by all")  # fmt: skip

    assert rows == [
        {"state": "dead", "component": "slab_waste", "bytes": 7},
        {"state": "live", "component": "kernfs", "bytes": 5},
    ]


def test_ops(ask):
    """ops has one row per point and kind of operation."""
    rows = ask([{"counter_atomics": 3, "stock_hits": 4}], "select kind, n from ops where n > 0 order by all")

    assert rows == [{"kind": "counter_atomics", "n": 3}, {"kind": "stock_hits", "n": 4}]


def test_memory_overhead(ask):
    """Lost memory is averaged over replicates and batches; the floor is left out."""
    points = [
        *pairs(lost_bytes_end=(0, 100, 10), dying_memcgs_end=(0, 4, 0)),
        {"design": "page_ref", "batch": 64, "lost_bytes_end": 300, "dying_memcgs_end": 6},
    ]
    rows = ask(
        points,
        "select design, lost_bytes_end, dying_memcgs_end, lost_bytes_per_memcg from memory_overhead order by all",
    )

    assert rows == [
        {"design": "objcg", "lost_bytes_end": 10.0, "dying_memcgs_end": 0.0, "lost_bytes_per_memcg": None},
        {"design": "page_ref", "lost_bytes_end": 200.0, "dying_memcgs_end": 5.0, "lost_bytes_per_memcg": 40.0},
    ]


def test_atomic_cost_is_paired(ask):
    """The floor that is subtracted is that of the same scenario, not of another replicate."""
    seen = (("unaccounted", "a", 1), ("page_ref", "a", 12), ("unaccounted", "b", 3), ("page_ref", "b", 20))
    points = [{"design": name, "scenario_id": scenario, "shared_atomics": n} for name, scenario, n in seen]
    rows = ask(points, "select design, shared_atomics, atomics_over_floor from atomic_cost")

    assert rows == [{"design": "page_ref", "shared_atomics": 16.0, "atomics_over_floor": 14.0}]


def test_batch_choice(ask):
    """The smallest batch within 5 % of the fewest atomics is enough: 103 against 100 is, 110 is not."""
    costs = {1: 400, 8: 110, 32: 103, 64: 100}
    points = [{"batch": batch, "shared_atomics": atomics} for batch, atomics in costs.items()]
    rows = ask(points, "select batch, fewest_atomics, smallest_batch, saved_share from batch_choice")

    assert rows == [{"batch": 32, "fewest_atomics": 100.0, "smallest_batch": 1, "saved_share": 1 - 103 / 400}]


def test_ns_per_charge(ask):
    """A design's knee is that of its worst replicate, its time the mean."""
    points = [{"ns_per_object": 10.0, "knee_cpus": inf}, {"ns_per_object": 30.0, "knee_cpus": 12.0, "replicate": 1}]
    rows = ask(points, "select design, ns_per_object, knee_cpus from ns_per_charge")

    assert rows == [{"design": "page_ref", "ns_per_object": 20.0, "knee_cpus": 12.0}]


def test_scaling(ask):
    """Slope and growth from 2 to 10 CPUs."""
    points = [
        {"cpus": 2, "lost_bytes_end": 100, "shared_atomics": 10, "ns_per_object": 5.0},
        {"cpus": 10, "lost_bytes_end": 900, "shared_atomics": 15, "ns_per_object": 20.0},
    ]
    rows = ask(points, "select fewest_cpus, most_cpus, lost_bytes_per_cpu, atomics_growth, ns_growth from scaling")

    assert rows == [
        {"fewest_cpus": 2, "most_cpus": 10, "lost_bytes_per_cpu": 100.0, "atomics_growth": 1.5, "ns_growth": 4.0}
    ]


def test_crossover(ask):
    """Each measure has its winner; within 1 % the design that loses less memory wins."""
    points = pairs(
        lost_bytes_end=(0, 100, 10), atomics_per_object=(0.0, 1000.0, 1009.0), ns_per_object=(0.0, 20.0, 30.0)
    )
    rows = ask(points, "select measure, best_design, best_value, runner_up, margin from crossover order by all")

    assert rows == [
        {
            "measure": "atomics_per_object",
            "best_design": "objcg",
            "best_value": 1009.0,
            "runner_up": "page_ref",
            "margin": 1000 / 1009 - 1,
        },
        {
            "measure": "lost_bytes_end",
            "best_design": "objcg",
            "best_value": 10.0,
            "runner_up": "page_ref",
            "margin": 9.0,
        },
        {
            "measure": "ns_per_object",
            "best_design": "page_ref",
            "best_value": 20.0,
            "runner_up": "objcg",
            "margin": 0.5,
        },
    ]


def test_upgrade(ask):
    """Going there and going back give the same with the other sign."""
    points = pairs(lost_bytes_end=(0, 100, 10), dying_memcgs_end=(0, 4, 1), shared_atomics=(0, 40, 50))
    rows = ask(
        points,
        """
        select from_design, to_design, given_back_bytes, given_back_memcgs, saved_atomics, saved_atomics_share
        from upgrade where not contains(from_design || to_design, 'unaccounted') order by all
    """,
    )

    assert [tuple(row.values()) for row in rows] == [
        ("objcg", "page_ref", -90.0, -3.0, 10.0, 0.2),
        ("page_ref", "objcg", 90.0, 3.0, -10.0, -0.25),
    ]


def test_uncertainty(ask):
    """Differences 10, 20 and 30 have mean 20 and the t interval 20 +- 4.3027 * 10 / sqrt(3); one pair has none."""
    points = [
        {"design": design, "replicate": replicate, "scenario_id": f"s{replicate}", "lost_bytes_end": lost}
        for replicate, (page_ref, objcg) in enumerate(((110, 100), (220, 200), (330, 300)))
        for design, lost in (("page_ref", page_ref), ("objcg", objcg))
    ]
    query = "from uncertainty where measure = 'lost_bytes_end' and against = 'objcg'"
    [row] = ask(points, query)

    assert (row["pairs"], row["mean_difference"]) == (3, 20.0)
    assert row["high"] - 20 == pytest.approx(4.302653 * 10 / sqrt(3), rel=1e-6)
    assert 20 - row["low"] == pytest.approx(4.302653 * 10 / sqrt(3), rel=1e-6)


def test_uncertainty_of_one_pair(ask):
    """A single pair has a difference and no interval."""
    [row] = ask(
        pairs(lost_bytes_end=(0, 7, 5)),
        "from uncertainty where measure = 'lost_bytes_end' and design = 'page_ref' and against = 'objcg'",
    )

    assert (row["pairs"], row["mean_difference"], row["low"], row["high"]) == (1, 2.0, None, None)


def test_prices(ask):
    """Of 0 %, 20 % and 4 % that the atomic costs over its per-CPU twin at 1, 8 and 64 CPUs, the second matters."""
    ns = {(1, 1): (20.0, 20.0), (1, 32): (10.0, 10.0), (8, 1): (90.0, 60.0), (8, 32): (36.0, 30.0),
          (64, 1): (200.0, 200.0), (64, 32): (104.0, 100.0)}  # fmt: skip
    points = [
        {"design": design, "cpus": cpus, "batch": batch, "ns_per_page_charge": figure, "host_prices": "milan"}
        for (cpus, batch), figures in ns.items()
        for design, figure in zip(("reparent_atomic", "reparent_percpu"), figures, strict=True)
    ]
    rows = ask(
        points,
        """
        select cpus, percpu_gives_back_ns, dearer, batching_gives_back_ns, matters_from_cpus, matters_to_cpus
        from prices where batch = 32 order by cpus
    """,
    )

    assert [tuple(row.values()) for row in rows] == [
        (1, 0.0, 0.0, 10.0, 8, 8), (8, 6.0, 0.2, 30.0, 8, 8), (64, 4.0, 0.04, 100.0, 8, 8)
    ]  # fmt: skip


def test_debate(ask):
    """Counter atomics are told apart by who spends them, and sums are taken before the ratio."""
    points = [
        {
            "page_charges": 10,
            "page_uncharges": 4,
            "counter_atomics": 30,
            "uncharge_counter_atomics": 8,
            "refcount_atomics": 5,
            "lock_acquisitions": 0,
        },
        {
            "page_charges": 30,
            "page_uncharges": 4,
            "counter_atomics": 30,
            "uncharge_counter_atomics": 8,
            "refcount_atomics": 5,
            "lock_acquisitions": 20,
        },
    ]
    rows = ask(
        points, "select atomics_per_charge, atomics_per_uncharge, ref_atomics_per_page, locks_per_page from debate"
    )

    assert [tuple(row.values()) for row in rows] == [(44 / 40, 2.0, 10 / 40, 20 / 40)]


def test_every_column_of_a_mart_is_explained(land):
    """What a mart returns is a column of points or a column that its header explains, with a unit that exists."""
    con = connect(open_run(str(land([{}]))))
    known = set(con.sql("from points").columns)
    for mart in marts().values():
        assert set(con.sql(f"from {mart.name}").columns) - known == set(mart.columns) - known, mart.name
        assert {column.unit_of for column in mart.columns.values()} <= known | set(mart.columns) | {"1"}, mart.name
