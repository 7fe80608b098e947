"""No number of a point is without bounds: prices, sizes, and what a run would cost."""

from dataclasses import fields, replace

import pytest

from tests.support.points import default_point

POINT = default_point()
NUMBERS = [name for name, value in vars(POINT.host).items() if isinstance(value, int | float)]


@pytest.mark.parametrize("value", [-1, float("nan"), float("inf"), 1e12])
@pytest.mark.parametrize("name", NUMBERS)
def test_prices_and_counts_of_a_host_are_bounded(name, value):
    """Nothing is negative, endless or no number; the line names the key and the value."""
    with pytest.raises(ValueError, match=rf"host\.{name} must be .*got"):
        replace(POINT.host, **{name: value})


@pytest.mark.parametrize("value", [-1.0, float("nan"), float("inf")])
@pytest.mark.parametrize("name", [field.name for field in fields(POINT.host.transfer_ns)])
def test_transfers_are_bounded(name, value):
    """So are the times between cores."""
    with pytest.raises(ValueError, match=rf"host\.transfer_ns\.{name} must be from 0"):
        replace(POINT.host.transfer_ns, **{name: value})


def charged(**changes):
    return replace(POINT, workload=replace(POINT.workload, charge=replace(POINT.workload.charge, **changes)))


def left(**changes):
    leftovers = dict(POINT.workload.leftovers)
    leftovers["dentry"] = replace(leftovers["dentry"], **changes)
    return replace(POINT, workload=replace(POINT.workload, leftovers=leftovers))


@pytest.mark.parametrize(
    ("make", "line"),
    [
        (lambda: charged(allocations_per_cpu=10**10), "allocations_per_cpu must .*on 64 CPUs makes 6.4e"),
        (lambda: charged(burst_allocations=1e12), "burst_allocations must make"),
        (lambda: charged(memcgs_per_cpu=1e9), "memcgs_per_cpu must|burst_allocations must"),
        (lambda: left(common=10**9), r"workload\.leftovers.*common must be at most 5000000 .*got 1"),
        (lambda: left(private=1e9), "must leave at most 20,000,000 .*e.* in all"),
        (lambda: replace(POINT, workload=replace(POINT.workload, stray_tasks=1e9)), "stray_tasks"),
    ],
)
def test_what_would_cost_without_bound_is_refused_with_the_figure(make, line):
    """Before anything is drawn."""
    with pytest.raises(ValueError, match=line):
        make()
