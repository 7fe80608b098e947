"""Slabs of memcgs' own, replayed once for those that no coming disturbs, are those of a replay of everybody."""

from dataclasses import replace

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from core.charge.machine import machine_of
from core.charge.window import charge_window
from core.slabs.allocator import OWN, REUSED
from core.slabs.trace import SlabTrace
from tests.support.points import default_point

SCENARIOS = st.fixed_dictionaries(
    {
        "churn_hz": st.sampled_from([0.0, 2.0, 20.0, 200.0]),
        "cpus": st.integers(1, 12),
        "seed": st.integers(0, 3),
    }
)
MIXES = st.fixed_dictionaries(
    {
        "memcgs_per_cpu": st.sampled_from([0.3, 0.5, 1.0, 1.5, 3.0]),
        "allocations_per_cpu": st.integers(1, 400),
        "burst_allocations": st.sampled_from([1, 2, 30, 200]),
        "quantum_allocations": st.sampled_from([1.0, 3.0, 40.0]),
        "remote_frees": st.sampled_from([0.0, 0.4]),
        "outlives": st.sampled_from([0.0, 0.5]),
        "home_cpus": st.integers(1, 4),
    }
)
MACHINES = st.sampled_from([("linux-4.19", "slub", 1), ("linux-5.2", "slab", 1), ("linux-6.1", "slub", 2)])


@settings(max_examples=60)
@given(scenario=SCENARIOS, mix=MIXES, machine=MACHINES)
def test_a_trace_is_joined_to_what_a_whole_replay_gives(profile_of, scenario, mix, machine):
    """Every field of it, bit for bit, whichever machines and churn rates came before."""
    kernel, allocator, nodes = machine
    base = default_point(kernel=profile_of(kernel), allocator=allocator, duration_s=3600.0)
    load = replace(base.workload, charge=replace(base.workload.charge, **mix))
    nodes = min(nodes, scenario["cpus"])
    point = replace(base, workload=load, nodes=nodes, **scenario)
    window = charge_window(point)
    everybody = window._replace(undisturbed=np.zeros_like(window.undisturbed))

    for slabs_of in (OWN, REUSED):
        joined, whole = (machine_of(point, each).slabs(slabs_of) for each in (window, everybody))
        for name in SlabTrace.__dataclass_fields__:
            np.testing.assert_array_equal(getattr(joined, name), getattr(whole, name), err_msg=name)
