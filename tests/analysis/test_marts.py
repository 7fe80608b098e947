"""Every mart on a few rows whose answer is known by hand."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count, permutations
from math import inf, sqrt
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy.special import stdtrit

from analysis.db import connect
from analysis.held import PAIR, holding
from analysis.marts import marts
from analysis.measures import COMPARED
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
    """Dead memory is averaged over replicates, with its interval; the floor is left out."""
    points = [
        *pairs(dead_bytes_end=(5, 100, 10), dying_memcgs_end=(0, 4, 0)),
        {"design": "page_ref", "scenario_id": "t", "replicate": 1, "dead_bytes_end": 300, "dying_memcgs_end": 6},
    ]
    rows = ask(
        points,
        """select design, dead_bytes_end, dead_bytes_end_pm, dying_memcgs_end, dead_bytes_per_memcg
           from memory_overhead order by all""",
    )

    assert [tuple(row.values()) for row in rows] == [
        ("objcg", 10.0, None, 0.0, None),
        ("page_ref", 200.0, pytest.approx(12.7062047 * 100 * sqrt(2) / sqrt(2)), 5.0, 40.0),
    ]


def test_cells_count_what_ran_out_of_memory(ask):
    """A replicate whose host ran out of memory is counted; one that never did is not."""
    points = [{"out_of_memory_s": second, "replicate": n} for n, second in enumerate((3.0, inf, None))]

    assert ask(points, "select replicates, out_of_memory from cells") == [{"replicates": 3, "out_of_memory": 1}]


def test_batch_choice(ask):
    """The smallest batch within 5 % of the fewest atomics is enough; one that another beats in both is not Pareto."""
    costs = {1: (400.0, 1.0), 8: (110.0, 8.0), 32: (103.0, 32.0), 64: (103.0, 64.0), 128: (100.0, 128.0)}
    points = [
        {"batch": batch, "atomics_per_page_charge": atomics, "stocked_bytes_mean": stocked}
        for batch, (atomics, stocked) in costs.items()
    ]
    rows = ask(points, "select batch, enough, pareto, saved_share from batch_choice order by batch")

    assert [(row["batch"], row["enough"], row["pareto"]) for row in rows] == [
        (1, False, True), (8, False, True), (32, True, True), (64, False, False), (128, False, True),
    ]  # fmt: skip
    assert rows[2]["saved_share"] == 1 - 103 / 400


def test_ns_per_charge(ask):
    """A design's knee is that of its worst replicate, its time the mean."""
    points = [{"ns_per_object": 10.0, "knee_cpus": inf}, {"ns_per_object": 30.0, "knee_cpus": 12.0, "replicate": 1}]
    rows = ask(points, "select design, ns_per_object, knee_cpus from ns_per_charge")

    assert rows == [{"design": "page_ref", "ns_per_object": 20.0, "knee_cpus": 12.0}]


def test_scaling(ask):
    """Slope and growth from 2 to 10 CPUs."""
    points = [
        {"cpus": 2, "dead_bytes_end": 100, "atomics_per_page_charge": 10.0, "ns_per_object": 5.0},
        {"cpus": 10, "dead_bytes_end": 900, "atomics_per_page_charge": 15.0, "ns_per_object": 20.0},
    ]
    rows = ask(points, "select fewest_cpus, most_cpus, dead_bytes_per_cpu, atomics_growth, ns_growth from scaling")

    assert rows == [
        {"fewest_cpus": 2, "most_cpus": 10, "dead_bytes_per_cpu": 100.0, "atomics_growth": 1.5, "ns_growth": 4.0}
    ]


def test_crossover(ask):
    """Each measure has the design with the least mean, and names those that are not told apart from it."""
    points = pairs(
        dead_bytes_end=(0, 100, 10), atomics_per_object=(0.0, 1000.0, 1009.0), ns_per_object=(0.0, 20.0, 30.0)
    )
    rows = ask(
        points, "select measure, best_design, best_value, tied, runner_up, margin from crossover order by measure"
    )

    assert [tuple(row.values()) for row in rows] == [
        ("atomics_per_object", "page_ref", 1000.0, ["objcg"], "objcg", 1009 / 1000 - 1),
        ("dead_bytes_end", "objcg", 10.0, [], "page_ref", 9.0),
        ("ns_per_object", "page_ref", 20.0, [], "objcg", 0.5),
    ]


def test_what_runs_out_of_memory_is_never_best(ask):
    """A design that the host cannot hold wins nothing, though its figure is the least."""
    points = pairs(dead_bytes_end=(0, 1, 10), out_of_memory_s=(inf, 5.0, inf))

    assert ask(points, "select best_design, tied from crossover where measure = 'dead_bytes_end'") == [
        {"best_design": "objcg", "tied": []}
    ]


def test_pareto(ask):
    """Beaten is what another design beats in one of the three and equals in the others, not what it trades."""
    points = [
        {"design": "page_ref", "dead_bytes_end": 9, "atomics_per_object": 1.0, "ns_per_object": 5.0},
        {"design": "reparent_percpu", "dead_bytes_end": 4, "atomics_per_object": 1.0, "ns_per_object": 5.02},
        {"design": "objcg", "dead_bytes_end": 1, "atomics_per_object": 3.0, "ns_per_object": 9.0},
    ]
    rows = ask(points, "select design, dominated_by from pareto order by design")

    assert [tuple(row.values()) for row in rows] == [
        ("objcg", []), ("page_ref", ["reparent_percpu"]), ("reparent_percpu", [])
    ]  # fmt: skip


def test_upgrade(ask):
    """Going there and going back give the same with the other sign."""
    points = pairs(dead_bytes_end=(0, 100, 10), dying_memcgs_end=(0, 4, 1), shared_atomics=(0, 40, 50))
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


def test_upgrade_from_kernel_to_kernel(ask):
    """Where kernels are swept and design and batch follow them, kernels are paired on their events."""
    points = [
        {"kernel": "linux-5.2", "design": "page_ref", "batch": 32, "dead_bytes_end": 100},
        {"kernel": "linux-6.1", "design": "objcg", "batch": 64, "dead_bytes_end": 10},
    ]
    rows = ask(
        points, "select from_kernel, from_batch, to_kernel, to_batch, given_back_bytes from upgrade order by all"
    )

    assert [tuple(row.values()) for row in rows] == [
        ("linux-5.2", 32, "linux-6.1", 64, 90.0), ("linux-6.1", 64, "linux-5.2", 32, -90.0)
    ]  # fmt: skip


def test_uncertainty(ask):
    """Differences 10, 20 and 30 have mean 20 and the t interval 20 +- 4.3027 * 10 / sqrt(3); one pair has none."""
    points = [
        {"design": design, "replicate": replicate, "scenario_id": f"s{replicate}", "dead_bytes_end": held}
        for replicate, (page_ref, objcg) in enumerate(((110, 100), (220, 200), (330, 300)))
        for design, held in (("page_ref", page_ref), ("objcg", objcg))
    ]
    query = "from uncertainty where measure = 'dead_bytes_end' and against = 'objcg'"
    [row] = ask(points, query)

    assert (row["pairs"], row["mean_difference"]) == (3, 20.0)
    assert row["high"] - 20 == pytest.approx(4.302653 * 10 / sqrt(3), rel=1e-6)
    assert 20 - row["low"] == pytest.approx(4.302653 * 10 / sqrt(3), rel=1e-6)


def test_uncertainty_of_one_pair(ask):
    """A single pair has a difference and no interval."""
    [row] = ask(
        pairs(dead_bytes_end=(0, 7, 5)),
        "from uncertainty where measure = 'dead_bytes_end' and design = 'page_ref' and against = 'objcg'",
    )

    assert (row["pairs"], row["mean_difference"], row["low"], row["high"]) == (1, 2.0, None, None)


FIGURES = st.fixed_dictionaries({"dead_bytes_end": st.integers(0, 10**12), "ns_per_object": st.floats(0, 1e4)})
SEEN = st.dictionaries(
    st.tuples(st.sampled_from(["s", "t", "u"]), st.sampled_from(["page_ref", "objcg", "unaccounted"]),
              st.sampled_from([8, 64]), st.sampled_from([1, 32])),
    FIGURES, min_size=1, max_size=24,
)  # fmt: skip
RUNS = count()


@given(seen=SEEN)
@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_uncertainty_is_of_whatever_two_designs_both_saw(land, seen):
    """Whatever holes a run has, differences are those of rows of one scenario and place, worked out one by one."""
    keys = ("scenario_id", "design", "cpus", "batch")
    points = [dict(zip(keys, key, strict=True)) | figures for key, figures in seen.items()]
    con = connect(open_run(str(land(points, name=f"run{next(RUNS)}"))))
    query = "select measure, design, against, cpus, batch, pairs, mean_difference, low from uncertainty"
    found = {row[:5]: row[5:] for row in con.sql(query).fetchall() if row[0] in {"dead_bytes_end", "ns_per_object"}}

    differences: dict[tuple[Any, ...], list[float]] = {}
    for (one, figures), (other, others) in permutations(seen.items(), 2):
        if (one[0], *one[2:]) == (other[0], *other[2:]):
            for measure, figure in figures.items():
                differences.setdefault((measure, one[1], other[1], *one[2:]), []).append(figure - others[measure])
    assert found.keys() == differences.keys()
    for key, each in differences.items():
        pairs, mean, low = found[key]
        assert pairs == len(each)
        assert mean == pytest.approx(np.mean(each), rel=1e-9, abs=1e-3)
        half = stdtrit(pairs - 1, 0.975) * np.std(each, ddof=1) / sqrt(pairs) if pairs > 1 else None
        assert low == (None if half is None else pytest.approx(np.mean(each) - half, rel=1e-9, abs=1e-3))


NEAR_EACH_OTHER = st.fixed_dictionaries(
    {
        "dead_bytes_end": st.sampled_from([0, 1000, 1005, 1010, 1011, 2000, 10**9]),
        "ns_per_object": st.one_of(st.floats(0, 1e4), st.floats(100, 104)),
        "atomics_per_object": st.just(1.0),
    }
)


@given(
    figures=st.lists(st.tuples(*[NEAR_EACH_OTHER] * 3), min_size=1, max_size=6),
    missing=st.lists(st.tuples(st.integers(0, 5), st.integers(0, 2)), max_size=2),
)
@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_designs_are_told_apart_by_their_means_as_they_are_in_pairs(land, monkeypatch, figures, missing):
    """What is held goes by means and pairs the rest, a CPU count at a time: its answers are those of `uncertainty`."""
    monkeypatch.setattr("analysis.held.PAIRED_ROWS", 1)
    designs = ("unaccounted", "page_ref", "objcg")
    points = [
        {"scenario_id": f"s{n}", "replicate": n, "design": design, "cpus": cpus} | of_design
        for n, each in enumerate(figures)
        for cpus, order in ((8, each), (64, each[::-1]))
        for place, (design, of_design) in enumerate(zip(designs, order, strict=True))
        if (n, place) not in missing or len(figures) == 1
    ]
    con = holding(open_run(str(land(points, name=f"run{next(RUNS)}"))))
    keys = ", ".join((*PAIR, "told"))
    held, paired = (
        con.sql(f"select {keys} from {schema}.uncertainty where measure in {COMPARED} order by all").fetchall()
        for schema in ("held", "main")
    )

    assert held == paired


def test_a_mart_says_the_same_where_it_is_held(land):
    """What is computed once for tables and reports is what sql shows, of every mart."""
    figures = {"dead_bytes_end": 96, "atomics_per_page_charge": 3, "atomics_per_object": 2, "ns_per_object": 4}
    points = [
        {"design": design, "cpus": cpus, "batch": batch, "replicate": replicate, "scenario_id": f"s{replicate}"}
        | {name: 32 * (figure + replicate) * n // batch for name, figure in figures.items()}
        for n, design in enumerate(("page_ref", "objcg", "reparent_percpu"), 1)
        for cpus in (8, 64)
        for batch in (1, 32)
        for replicate in (0, 1)
    ]
    run = open_run(str(land(points)))
    plain, held = connect(run), holding(run)

    known = "select table_name from information_schema.tables where table_schema = 'held'"
    names = {name for (name,) in held.execute(known).fetchall()}
    assert names >= {"batch_choice", "prices", "crossover", "pareto", "upgrade"}
    for name in names - {"cells", "uncertainty"}:  # of which there is a part
        query = f"select * from {name} order by all"
        assert held.sql(query).fetchall() == plain.sql(query).fetchall(), name
    figure = "select design, batch, dead_bytes_end, dead_bytes_end_pm from cells order by all"
    assert held.sql(figure).fetchall() == plain.sql(figure).fetchall()


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
    """Counter atomics are told apart by who spends them; locks and references are of a charge and its uncharge."""
    points = [
        {
            "page_charges": charges,
            "page_uncharges": 4,
            "counter_atomics": 30,
            "uncharge_counter_atomics": 8,
            "refcount_atomics": 5,
            "lock_acquisitions": locks,
            "replicate": n,
        }
        for n, (charges, locks) in enumerate(((10, 0), (20, 20)))
    ]
    rows = ask(points, "select atomics_per_charge, atomics_per_uncharge, refs_per_page, locks_per_page from debate")

    refs, locks = (5 / 14 + 5 / 24) / 2, (0 / 14 + 20 / 24) / 2  # of a charge or an uncharge; a page has one of each
    assert [tuple(row.values()) for row in rows] == [((22 / 10 + 22 / 20) / 2, 2.0, 2 * refs, 2 * locks)]


def test_every_column_of_a_mart_is_explained(land):
    """A mart returns columns of points, half intervals, and columns its header explains, with a unit that exists."""
    con = connect(open_run(str(land([{}]))))
    known = set(con.sql("from points").columns) | set(marts()["cells"].columns)
    for mart in marts().values():
        found = set(con.sql(f"from {mart.name}").columns)
        assert {name for name in found if not name.endswith("_pm")} <= known | set(mart.columns), mart.name
        assert set(mart.columns) <= found, mart.name
        assert {column.unit_of for column in mart.columns.values()} <= known | set(mart.columns) | {"1"}, mart.name


def test_a_run_that_lacks_a_column_hides_what_is_made_of_it(land):
    """Old runs have no dead bytes of their own: they are the sum of their parts; what has no parts is null."""
    run = land(
        [{"memory_bytes_dead_kernfs": 3, "memory_bytes_dead_slab_waste": 4}],
        without=("dead_bytes_end", "stocked_bytes_mean"),
    )
    con = connect(open_run(str(run)))

    assert con.sql("select dead_bytes_end, stocked_bytes_mean from cells").fetchall() == [(7.0, None)]
