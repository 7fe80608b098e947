"""What a point would cost is bounded, whatever its keys are each by itself."""

from dataclasses import replace

import pytest

from tests.support.points import default_point

POINT = default_point()


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
