"""Who is pinned, against the object-by-object simulator on the same draws, and by hand."""

import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from numba import njit

from core.lifecycle import leftovers as core_leftovers
from core.lifecycle.books import SAMPLES
from core.lifecycle.pinning import pin
from core.workload import PAGE_CACHE, PIN_KINDS, Pin, Pressure
from tests.reference.lifecycle import STEPS, Recount
from tests.reference.lifecycle import slab_of as slab_in_turn
from tests.support.small import DESIGN_NAMES, drawn, leftover, pins, small_point

cpu_of, slab_of = njit(core_leftovers.cpu_of), njit(core_leftovers.slab_of)
turnovers = st.floats(0.05, 8)
pin_laws = st.builds(Pin, chance=st.sampled_from([0.1, 1.0]), hold_s=st.sampled_from([60.0, 9000.0]))
leftovers = st.builds(
    leftover,
    private=st.floats(0, 1.5),
    private_turnovers=turnovers,
    chance=st.sampled_from([0.0, 0.2, 1.0]),
    common=st.integers(0, 12),
    common_touch=st.sampled_from([0.0, 0.01, 0.3, 1.0]),
    common_turnovers=turnovers,
)


@pytest.mark.parametrize("design", DESIGN_NAMES)
@given(
    caches=st.fixed_dictionaries({"dentry": leftovers, "inode_cache": leftovers, PAGE_CACHE: leftovers}),
    lifetime_s=st.sampled_from([1.0, 300.0, 20000.0]),
    lifetime_sigma=st.sampled_from([0.0, 1.0]),
    cache_creation_s=st.sampled_from([0.0, 0.5, 100.0]),
    stray_tasks=st.sampled_from([0.0, 0.5]),
    pinned=st.dictionaries(st.sampled_from(PIN_KINDS), pin_laws),
    cgroup_version=st.sampled_from([1, 2]),
    memory_mib=st.sampled_from([8.0, 2.0**30]),
    folio_reparenting=st.booleans(),
    cpus=st.sampled_from([1, 3, 64]),
    seed=st.integers(0, 2**31),
)
@settings(max_examples=25, phases=(Phase.reuse, Phase.generate))  # shrinking would take minutes
def test_counts_equal_those_of_the_object_by_object_simulator(
    design, caches, lifetime_s, lifetime_sigma, cache_creation_s, stray_tasks, pinned, memory_mib, **changes
):
    """Every count at every sample is the one found by looking at each object, with feedback on and off."""
    load = {
        "lifetime_s": lifetime_s,
        "lifetime_sigma": lifetime_sigma,
        "cache_creation_s": cache_creation_s,
        "stray_tasks": stray_tasks,
        "pins": pins(**pinned),
        "pressure": Pressure(memory_mib=memory_mib, in_use_mib=0.0, refill_mib_s=memory_mib / 20000),
    }
    point = small_point(leftovers=caches, load=load, design=design, churn_hz=0.0008, **changes)
    population, rules = drawn(point)

    walked = pin(population, rules)
    recount = Recount(population, rules)
    history, clock = recount.run()

    assert walked.clock == clock
    assert walked.full_step == recount.full_step
    assert walked.zombie_share == recount.zombies / max(population.arrivals.sum() - population.online[-1], 1)
    np.testing.assert_array_equal(walked.samples, history[STEPS // SAMPLES - 1 :: STEPS // SAMPLES])
    np.testing.assert_array_equal(walked.sums, np.sum(history, axis=0))


@given(st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1), st.integers(1, 200), st.integers(1, 40), st.integers(1, 9))
def test_slab_of_an_object_is_found_by_allocating_all_before_it(key, spot, allocated, per_slab, stays):
    """Two objects are on one slab exactly if allocating the memcg's objects in turn puts them on one."""
    _, rules = drawn(small_point(leftovers={"dentry": leftover()}, cpus=5))
    rules = rules._replace(
        stays=stays, allocated=np.array([allocated]), slab_objects=np.array([per_slab]), cache_creation_s=0.0
    )
    cpus = [int(cpu_of(key, stay, 5)) for stay in range(stays)]
    spots = [spot, *(((2 * place + 1) << 32) // (2 * allocated) for place in range(allocated))]

    ours = [int(slab_of(each, key, 0, rules)) for each in spots]
    theirs = [slab_in_turn((each * allocated) >> 32, cpus, allocated, per_slab, cpu_slabs=True) for each in spots]

    assert len(set(zip(ours, theirs, strict=True))) == len(set(ours)) == len(set(theirs))
