"""What rmdir costs, worked by hand from what a memcg has."""

from dataclasses import replace

import pytest

from core.charge.offline import offline_cost
from core.designs import DESIGNS
from tests.support.points import default_point

MEMCG = {"caches_per_memcg": [3.0], "slabs_per_memcg": [20.0], "cpu_slabs_per_memcg": [12.0], "stocks_per_memcg": [2.0]}


def cost(design, **changes):
    """Offline columns of one memcg with 3 caches, 20 slabs, 12 CPUs holding some of them, and 2 stocks."""
    columns = offline_cost([default_point(design=design, depth=2, **changes)], MEMCG)
    return {name.removeprefix("offline_"): values[0] for name, values in columns.items()}


def test_page_ref_walks_caches_and_waits_twice():
    """5.2 looks through all root caches, shrinks 3, and drains 2 stocks: 3 counters and a reference each."""
    found = cost("page_ref")

    assert found["caches_walked"] == len(default_point().kernel.caches)
    assert (found["caches_shrunk"], found["cpu_flushes"], found["pages_walked"]) == (3, 12, 0)
    assert (found["stocks_drained"], found["atomics"], found["grace_periods"]) == (2, 2 * (3 + 1), 2)


def test_percpu_ref_needs_one_grace_period_more():
    """5.3 kills the percpu_ref of each cache after it has been shrunk; April 2019's atomic needs no such thing."""
    assert cost("reparent_percpu")["grace_periods"] == cost("reparent_atomic")["grace_periods"] + 1


def test_page_list_rewrites_every_slab():
    """A list of 20 slabs is walked, and each slab's reference moves by an atomic."""
    found, plain = cost("page_list"), cost("page_ref")

    assert found["pages_walked"] == 20
    assert found["atomics"] == plain["atomics"] + 20


@pytest.mark.parametrize(("lock", "more"), [("memcg", 1), ("memcg_node", 2), ("kmem_cache", 3)])
def test_lock_of_the_list(lock, more):
    """On two nodes there is one lock per memcg, two per memcg and node, or one for each of 3 caches."""
    locks = [cost(design, page_list_lock=lock, nodes=2)["lock_acquisitions"] for design in ("page_list", "page_ref")]

    assert locks[0] - locks[1] == more


def test_objcg_moves_one_pointer():
    """5.9 and later have no caches of a memcg to walk, and one obj_cgroup to hand over."""
    found = cost("objcg")

    assert (found["objcgs_moved"], found["caches_walked"], found["caches_shrunk"], found["cpu_flushes"]) == (1, 0, 0, 0)
    assert found["work_us"] < cost("page_ref")["work_us"]


def test_swap_accounting_doubles_the_walks():
    """In cgroup v1 with swap accounting a drained stock is given back to two counters."""
    assert cost("page_ref", cgroup_version=1, swap_accounting=True)["atomics"] == 2 * (2 * 3 + 1)


@pytest.mark.parametrize("design", [name for name, design in DESIGNS.items() if not design.accounts])
def test_nothing_charged_nothing_drained(design):
    """Without accounting, rmdir waits for the css to be killed, and that is all."""
    found = cost(design)

    assert (found["stocks_drained"], found["atomics"], found["grace_periods"]) == (0, 0, 1)


def caller_and_background(**changes):
    """Times of a removal under 5.2, caller's and background's, with their bands."""
    columns = offline_cost([default_point(design="page_ref", depth=2, kernel="linux-5.2", **changes)], MEMCG)
    return columns["rmdir_caller_us"][0], columns["offline_background_us"][0]


def test_caller_waits_for_files_and_nothing_else():
    """rmdir(2) removes the cgroup's files, at 500 ns each, under one mutex, whatever the CPUs."""
    kernel = default_point(kernel="linux-5.2").kernel
    caller, _ = caller_and_background()

    assert caller == float(f"{(9.3 + 500 * kernel.cgroup_files) / 1e3:.0e}")
    assert caller_and_background(cpus=256)[0] == caller


def test_background_grows_with_cpus_flushes_and_mounts():
    """Every CPU's stock and slabs are looked at, each CPU with a slab is interrupted, each list_lru is spliced."""
    point = default_point(design="page_ref", kernel="linux-5.2", cpus=8)

    def background(which=point, **more):
        return offline_cost([which], MEMCG | more)["offline_background_us"][0]

    assert background(replace(point, cpus=2048, possible_cpus=2048)) > background()
    assert background(cpu_slabs_per_memcg=[400.0]) > background()
    assert background(replace(point, workload=replace(point.workload, mounts=5000))) > background()


def test_cache_that_nobody_uses_makes_nothing_cheaper():
    """One more cache in the kernel's list changes how many are walked, and no time to a lower one."""
    point = default_point(design="page_ref", kernel="linux-5.2")
    more = replace(point, kernel=replace(point.kernel, caches=point.kernel.caches | {"another": 64}))
    before, after = (offline_cost([each], MEMCG) for each in (point, more))

    assert after["offline_caches_walked"] == before["offline_caches_walked"] + 1
    assert after["offline_background_us"] >= before["offline_background_us"]


def test_times_have_one_digit_and_a_band():
    """Assumed prices are good for a factor of three either way."""
    columns = offline_cost([default_point(design="page_ref")], MEMCG)

    for name in ("rmdir_caller_us", "offline_background_us"):
        low, middle, high = (columns[f"{name}{end}"][0] for end in ("_low", "", "_high"))
        assert low < middle < high
        assert all(value == float(f"{value:.0e}") for value in (low, middle, high))
