"""Every count of the charge path equals the reference's, on random scenarios, for every design and cross-setting."""

from collections import defaultdict
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.charge.count import count_lanes
from core.charge.load import memcgs_online
from core.charge.stock import DIRECT_FREE
from core.charge.streams import page_stream
from core.designs import DESIGNS
from core.events import ALLOC, FREE, OFFLINE, ONLINE, SAMPLE, START
from tests.reference import charge as reference
from tests.support.scenarios import machine, point, scenarios, settings_of_a_lane

COUNTED = (
    "objects_allocated",
    "objects_freed",
    "slabs_allocated",
    "slabs_freed",
    "page_charges",
    "page_uncharges",
    "pages_charged",
    "stock_hits",
    "stock_drains",
    "stock_offline_drains",
    "charge_walks",
    "uncharge_walks",
    "drain_walks",
    "leaf_counter_atomics",
    "upper_counter_atomics",
    "memsw_counter_atomics",
    "kmem_counter_atomics",
    "protection_atomics",
    "counter_atomics",
    "uncharge_counter_atomics",
    "refcount_atomics",
    "byte_atomics",
    "stat_atomics",
    "shared_atomics",
    "percpu_ref_ops",
    "percpu_stat_ops",
    "percpu_ops",
    "lock_acquisitions",
)
MEANS = {  # column: what it is a mean of, and over what
    "atomics_per_object": ("shared_atomics", "objects_allocated"),
    "caches_per_memcg": ("memcg_caches", "memcgs"),
    "slabs_per_memcg": ("memcg_slabs", "memcgs"),
    "cpu_slabs_per_memcg": ("memcg_cpu_slabs", "memcgs"),
    "stocks_per_memcg": ("memcg_stocks", "memcgs"),
}
PAGE_KINDS = {
    ALLOC: "charge",
    FREE: "uncharge",
    DIRECT_FREE: "uncharge at once",
    ONLINE: "online",
    OFFLINE: "offline",
    START: "start",
    SAMPLE: "sample",
}


@pytest.mark.parametrize("design", DESIGNS)
@settings(max_examples=200, suppress_health_check=[HealthCheck.too_slow])
@given(lane=settings_of_a_lane(), scenario=scenarios(), batches=st.lists(st.integers(1, 40), max_size=3))
def test_counts_equal_the_reference(design, lane, scenario, batches):
    """Each lane's counts, and the page events before the stocks, are those of a run of the reference with its batch."""
    assert_equal_to_reference(design, lane, scenario, batches)


def assert_equal_to_reference(design, lane, scenario, batches):
    lane = replace(lane, caches=(lane.caches * 3)[:3])
    lanes = [lane, *(replace(lane, batch=batch, stat_batch=batch) for batch in batches)]
    points = [point(design, each) for each in lanes]
    replayed = machine(lane, scenario)

    counts = count_lanes(points, replayed)
    stream = page_stream(points[0], DESIGNS[design], replayed)

    for number, each in enumerate(lanes):
        kernel = reference.DESIGNS[design](each)
        ops = kernel.run(scenario.on(each.cpus))
        ops["memcgs"] = memcgs_online(points[0].workload.charge, lane.cpus)
        assert {name: lane_of(counts[name], number) for name in COUNTED} == {name: ops[name] for name in COUNTED}
        for name, (total, over) in MEANS.items():
            assert lane_of(counts[name], number) == (ops[total] / ops[over] if ops[over] else 0), name
        found = lane_of(counts["atomics_per_page_charge"], number)
        assert found == pytest.approx(atomics_of_a_page(ops, in_pages=DESIGNS[design].charges == "pages"))
        assert lane_of(counts["stocked_bytes_mean"], number) == pytest.approx(ops["stocked_bytes_mean"])
        assert lane_of(counts["cpus_per_memcg"], number) == pytest.approx(cpus_per_memcg(kernel.page_events))
        assert kernel.page_events == [
            (PAGE_KINDS[kind], int(who) >> 1, int(pages), int(cpu))
            for kind, cpu, who, pages in zip(*stream.pages, strict=True)
        ]


def atomics_of_a_page(ops, *, in_pages):
    """What a charge costs and what an uncharge costs, each by itself, where pages are charged; else all per charge."""
    charges, uncharges, counters = ops["page_charges"], ops["page_uncharges"], ops["counter_atomics"]
    if not charges:
        return 0
    if not in_pages or not uncharges:
        return ops["shared_atomics"] / charges
    by_uncharges, rest = ops["uncharge_counter_atomics"], ops["shared_atomics"] - counters
    return (counters - by_uncharges) / charges + by_uncharges / uncharges + rest / ((charges + uncharges) / 2)


def lane_of(values, number):
    return values[number] if getattr(values, "ndim", 0) else values


def cpus_per_memcg(page_events):
    """CPUs that charge or uncharge pages of the memcg of an event, mean over the events of memcgs."""
    sharers = defaultdict(set)
    moves = [(memcg, cpu) for _, memcg, pages, cpu in page_events if pages and memcg]
    for memcg, cpu in moves:
        sharers[memcg].add(cpu)
    return sum(len(sharers[memcg]) for memcg, _ in moves) / len(moves) if moves else 0
