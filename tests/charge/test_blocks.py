"""Events in blocks are the events: written out and packed anew, block by block of another cut, they do the same."""

from dataclasses import fields, replace

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from core.blocks import packed
from core.charge.machine import machine_of
from core.charge.objcg import ObjcgTrace
from core.charge.window import charge_window
from core.designs import DESIGNS
from core.events import FREE
from core.slabs.allocator import OWN, REUSED, SHARED
from tests.support.points import default_point
from tests.support.windows import in_order

OBJCG = DESIGNS["objcg"].objcg_version
OF_SLABS = ("pages", "instances", "cpus_holding", "dead", "identity")  # what no cut into blocks changes


@settings(max_examples=30)
@given(
    cpus=st.integers(1, 12),
    seed=st.integers(0, 3),
    churn_hz=st.sampled_from([0.0, 20.0, 200.0]),
    mix=st.fixed_dictionaries(
        {
            "memcgs_per_cpu": st.sampled_from([0.3, 1.0, 3.0]),
            "allocations_per_cpu": st.integers(1, 400),
            "burst_allocations": st.sampled_from([2, 30]),
            "quantum_allocations": st.sampled_from([1.0, 40.0]),
            "remote_frees": st.sampled_from([0.0, 0.4, 1.0]),
            "home_cpus": st.sampled_from([1, 4, 300]),
        }
    ),
)
def test_packing_loses_nothing(profile_of, cpus, seed, churn_hz, mix):
    """Slabs and bytes of a window are those of its events in blocks without homes, where each CPU is spelled out."""
    base = default_point(kernel=profile_of("linux-6.1"), duration_s=3600.0, cpus=cpus, seed=seed, churn_hz=churn_hz)
    point = replace(base, workload=replace(base.workload, charge=replace(base.workload.charge, **mix)))
    window = charge_window(point)
    events = in_order(window)
    spelled = packed(events)
    spelled = spelled._replace(undisturbed=np.zeros_like(window.undisturbed), objects=window.objects)
    ours, others = machine_of(point, window), machine_of(point, spelled)

    assert events["kind"][events["kind"] == FREE].size > 0
    for slabs_of in (SHARED, OWN, REUSED):
        for name in OF_SLABS:
            one, other = (getattr(machine.slabs(slabs_of), name) for machine in (ours, others))
            np.testing.assert_array_equal(one, other, err_msg=name)
    for field in fields(ObjcgTrace):
        one, other = (getattr(machine.bytes(OBJCG("6.1")), field.name) for machine in (ours, others))
        np.testing.assert_array_equal(one, other, err_msg=field.name)
