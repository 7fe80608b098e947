"""Prices of points: by hand where nothing is shared or all is, and properties of the whole."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.charge.count import COLUMNS as COUNTED
from core.charge.count import count
from core.designs import DESIGNS
from core.prices.contention import COLUMNS, COUNTS, price
from tests.support.hosts import host
from tests.support.points import default_point

BANDS = ("ns_per_page_charge", "ns_per_object")


def point(memcgs=1, **changes):
    """Return a point of page_ref at depth 1 on the test host, with so many memcgs."""
    default = default_point()
    mix = {"memcgs_per_cpu": memcgs / changes.get("cpus", 1), "burst_allocations": 1.0}
    workload = replace(default.workload, charge=replace(default.workload.charge, **mix))
    settings = {"design": "page_ref", "cpus": 1, "depth": 1, "host": host(), "workload": workload} | changes
    return replace(default, **settings)


def counts(**given_counts):
    """Return counted columns of one point: 1000 objects, 100 page charges and uncharges, and what is given."""
    plain = dict.fromkeys(COUNTS, 0) | {"objects_allocated": 1000, "page_charges": 100, "page_uncharges": 100}
    return {name: np.array([value]) for name, value in (plain | given_counts).items()}


def priced(one, **given_counts):
    """Return the price columns of one point as plain values."""
    return {name: values[0] for name, values in price([one], counts(**given_counts)).items()}


def test_one_cpu_pays_for_its_own_operations_only():
    """0.2 atomics of 10 ns and 4 per-CPU operations of 1 ns an object: 2 + 4 = 6 ns; of these 20 ns a page charge."""
    found = priced(point(), leaf_counter_atomics=100, upper_counter_atomics=100, percpu_ops=4000)

    assert found["ns_per_object_uncontended"] == found["ns_per_object"] == pytest.approx(6.0)
    assert found["ns_per_page_charge_uncontended"] == pytest.approx(20.0)


def test_two_cpus_fetch_the_line_every_other_time():
    """One line, 0.1 visits an object; half find it 20 ns away, the other half at home: 15 ns, and a short wait."""
    found = priced(point(cpus=2), upper_counter_atomics=100)

    # Z = 30 + 0.1 * 500 = 80 ns of thought and 1.5 ns at the line: one CPU is there 1.8 % of the time
    assert found["ns_per_object"] == pytest.approx(1.5, rel=0.02)
    assert found["ns_per_object"] > 1.5


def test_the_knee_by_hand():
    """Far atomics of 10 ns, 1 an object, Z = 80 ns: N 10 (1 - 1/N) + 10 >= 80 + 10 at N = 9, wherever the CPUs are."""
    found = priced(point(cpus=2, host=host(kind="far", far_service_ns=10.0)), upper_counter_atomics=1000)

    assert found["knee_cpus"] == 9


def test_the_saturated_rate_by_hand():
    """One visit of 10 ns an object, a page charge every 10 objects: 1e9 / 10 / 10 charges per second."""
    found = priced(point(cpus=2, host=host(kind="far", far_service_ns=10.0)), upper_counter_atomics=1000)

    assert found["saturated_charges_per_s"] == pytest.approx(1e7)


def test_nothing_shared_never_saturates():
    """A design without shared operations has no knee and no bound."""
    found = priced(point(design="unaccounted", cpus=64), page_charges=0, page_uncharges=0)

    assert (found["knee_cpus"], found["saturated_charges_per_s"]) == (np.inf, np.inf)
    assert found["ns_per_object"] == found["ns_per_page_charge"] == 0.0


def test_a_line_of_ones_own_is_not_fetched():
    """With a million memcgs two CPUs hardly ever share a leaf counter: it costs what it costs alone."""
    found = priced(point(memcgs=1_000_000, cpus=2), leaf_counter_atomics=100)

    assert found["ns_per_object"] == pytest.approx(1.0, rel=1e-3)


def test_more_cpus_than_the_host_has_are_flagged():
    """The test host has 16 CPUs."""
    assert [bool(priced(point(cpus=n))["host_exceeded"]) for n in (16, 17)] == [False, True]


COUNT = st.integers(0, 3000)


@settings(max_examples=30)
@given(
    design=st.sampled_from(sorted(DESIGNS)),
    memcgs=st.integers(1, 50),
    depth=st.integers(1, 6),
    kind=st.sampled_from(["near", "far", "llsc"]),
    numbers=st.fixed_dictionaries(
        dict.fromkeys([name for name in COUNTS if not name.startswith(("objects", "page_charges"))], COUNT)
    ),
)
def test_prices_rise_with_cpus_and_lie_in_their_band(design, memcgs, depth, kind, numbers):
    """No CPU makes an object cheaper for the others, and the band holds the centre."""
    machine = host(kind=kind, far_service_ns=20.0, llsc_base_ns=20.0, llsc_retry_ns=2.0, far_weight=0.1)
    points = [point(memcgs, design=design, depth=depth, cpus=cpus, host=machine) for cpus in (1, 2, 4, 8, 16, 40)]
    found = price(points, {name: np.repeat(values, len(points)) for name, values in counts(**numbers).items()})
    for name in BANDS:
        assert (found[f"{name}_low"] <= found[name] * (1 + 1e-9)).all()
        assert (found[name] <= found[f"{name}_high"] * (1 + 1e-9)).all()
    # not so the page's part: a line that slows down as CPUs queue at it relieves the others
    assert all(a <= b * (1 + 1e-9) for a, b in pairwise(found["ns_per_object"]))


def test_a_larger_batch_never_costs_more():
    """On the default workload, whose demand is the same for every batch, prices fall or stay as the batch doubles."""
    points = [replace(default_point(), cpus=16, batch=1 << n) for n in range(8)]
    found = price(points, count(points))["ns_per_object"].astype(float)

    assert all(a >= b * (1 - 1e-9) for a, b in pairwise(found))


def test_a_point_is_priced_as_if_it_were_alone():
    """The bits of a row do not depend on the other points of the call, nor on their order."""
    points = [point(cpus=n, memcgs=m) for n in (1, 7, 64) for m in (1, 9)]
    rows = {name: np.arange(1, len(points) + 1) * 100 for name in COUNTS}
    together = price(points, rows)
    for i, one in enumerate(points):
        alone = price([one], {name: values[i : i + 1] for name, values in rows.items()})
        assert all(alone[name][0] == together[name][i] for name in COLUMNS)


def test_every_count_that_is_priced_is_counted():
    """The columns read here are columns of core.charge.count."""
    assert set(COUNTS) <= set(COUNTED)
