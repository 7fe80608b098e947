"""What a design's lifecycle comes to: laws that must hold, theory, and exact numbers of one scenario."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.designs import DESIGNS
from core.keys import resolved
from core.lifecycle.age import COLUMNS, COMPONENT_GROUPS, SERIES_COLUMNS, age
from core.lifecycle.books import SAMPLES
from core.lifecycle.leftovers import OWN_OBJECTS, SLABS, state
from core.lifecycle.life import check_books, live
from core.lifecycle.population import populate
from core.lifecycle.weights import weigh
from core.workload import PAGE_CACHE, Pin, Pressure
from tests.support.points import default_point
from tests.support.small import DAY_S, leftover, pins, small_point

Z = 4.5  # standard errors; a true mean is farther off once in 150 000 tests


def designs_of(point):
    """The point under every design, in the order of the registry."""
    return [replace(point, design=name) for name in DESIGNS]


def by_design(point):
    """Point columns of every design: name -> column -> value."""
    columns, _ = age(designs_of(point))
    return {name: {key: value[i] for key, value in columns.items()} for i, name in enumerate(DESIGNS)}


@given(
    churn_hz=st.sampled_from([0.001, 0.02]),
    cpus=st.sampled_from([1, 8, 64]),
    machine=st.sampled_from([("slub", 1), ("slub", 2), ("slab", 1)]),
    workload=st.sampled_from(["web_frontend", "systemd_timers", "containers", "serverless", "desktop"]),
    kernel=st.sampled_from(["linux-4.19", "linux-5.3", "linux-6.1"]),
)
@settings(max_examples=20)
def test_every_byte_has_a_name(machine, **changes):
    """Components sum to the total, groups of the series too, and what unaccounted holds is nobody's loss."""
    allocator, nodes = machine
    points = designs_of(default_point(duration_s=DAY_S, allocator=allocator, nodes=nodes, **changes))
    columns, series = age(points)

    components = [values for name, values in columns.items() if name.startswith("memory_bytes_")]
    totals = np.sum(components, axis=0)
    last = series["t_s"] == DAY_S

    np.testing.assert_array_equal(totals, columns["total_bytes_end"])
    np.testing.assert_array_equal(
        np.sum([series[f"{group}_bytes"][last] for group in COMPONENT_GROUPS], axis=0), totals
    )
    dead = np.sum([values for name, values in columns.items() if name.startswith("memory_bytes_dead_")], axis=0)
    np.testing.assert_array_equal(columns["lost_bytes_end"], dead - dead[list(DESIGNS).index("unaccounted")])
    assert min(values.min() for values in components) >= 0
    assert set(columns) == set(COLUMNS)
    assert set(series) == set(SERIES_COLUMNS)


def test_books_that_cannot_be_true_are_refused():
    """More slabs than objects on them is an error that names the design, the cache and by how much."""
    point = resolved(small_point(leftovers={"dentry": leftover(private=1.0)}, design="page_ref"))
    life = live(point, DESIGNS["page_ref"], weigh(point, DESIGNS["page_ref"]), populate(point))
    life.counts[-1, state(SLABS, 0, 1)] += (
        life.counts[-1, state(OWN_OBJECTS, 0, 1)] + 3
    )  # slabs of dentries: objects on them, and three more

    with pytest.raises(AssertionError, match="page_ref at 4 CPUs: dentry: slabs of gone memcgs"):
        check_books(life, point)


@given(st.sampled_from(["web_frontend", "systemd_timers", "containers"]), st.sampled_from([1, 16]), st.integers(0, 99))
@settings(max_examples=10)
def test_who_pins_what(workload, cpus, seed):
    """What each design's source says of dying memcgs and dangling kmem_caches."""
    point = default_point(workload=workload, kernel="linux-5.2", cpus=cpus, seed=seed, duration_s=3 * DAY_S)
    seen = by_design(point)

    assert seen["page_ref"]["dying_memcgs_end"] >= seen["reparent_percpu"]["dying_memcgs_end"]
    assert seen["page_ref"]["dangling_kmem_caches_end"] == 0
    assert seen["reparent_percpu"]["dangling_kmem_caches_end"] > 0
    assert seen["objcg"]["dangling_kmem_caches_end"] == 0
    assert seen["objcg"]["reparented_objcgs_end"] > 0
    assert seen["unaccounted"]["lost_bytes_end"] == 0
    lost = [seen[name]["lost_bytes_end"] for name in ("page_ref", "reparent_percpu", "objcg")]
    assert lost == sorted(lost, reverse=True)


def test_reparented_folios_pin_nobody():
    """With folio reparenting no design but the one whose slabs do has a dying memcg."""
    leftovers = {"dentry": leftover(private=1), PAGE_CACHE: leftover(private=1)}
    point = small_point(leftovers=leftovers, folio_reparenting=True)

    seen = {name: row["dying_memcgs_end"] for name, row in by_design(point).items()}

    assert seen.pop("page_ref") > 0
    assert seen.pop("reuse_dead") >= 0
    assert set(seen.values()) == {0}


def test_a_memcg_that_goes_before_its_caches_exist_leaves_nothing():
    """Objects older than a memcg's kmem_caches are the root's: short-lived memcgs pin nothing by slab."""
    point = small_point(
        leftovers={"dentry": leftover(private=5.0, private_turnovers=1e6)},
        load={"lifetime_s": 0.005, "lifetime_sigma": 0.0, "cache_creation_s": 0.02},
    )
    seen = by_design(point)

    assert seen["page_ref"]["dying_memcgs_end"] == 0
    assert seen["reparent_percpu"]["dangling_kmem_caches_end"] == 0
    assert seen["objcg"]["reparented_objcgs_end"] > 0  # objcg charges from the first object on


@pytest.mark.parametrize("left", [1.0, 4.0])
def test_dying_memcgs_are_an_m_g_infinity_queue_of_last_survivors(left):
    """Dying memcgs number rate x time until the last of k objects goes, summed over a Poisson k.

    The last of k exponential ages lasts a harmonic number of means. False alarms: 1 in 150 000.
    """
    turnovers = 0.25  # an hour and a half
    point = small_point(
        leftovers={"dentry": leftover(private=left, private_turnovers=turnovers)},
        load={"lifetime_s": 1.0, "lifetime_sigma": 0.0, "cache_creation_s": 0.0},
        design="page_ref",
        churn_hz=0.02,
        duration_s=4 * DAY_S,
    )
    settled = []
    for seed in range(12):
        _, series = age([replace(point, seed=seed)])
        settled.extend(series["dying_memcgs"][SAMPLES // 4 :: 8])  # 12 hours apart: independent

    ks = np.arange(1, 60)
    chances = np.exp(-left) * np.cumprod(left / ks)
    mean_age_s = turnovers * (DAY_S / 4) * (chances * np.cumsum(1 / ks)).sum()
    expected = 0.02 * mean_age_s

    assert abs(np.mean(settled) - expected) < Z * np.sqrt(expected / len(settled)) + 0.01 * expected


def test_common_objects_bound_the_dying_memcgs():
    """A shared pool pins at most a memcg per object, and nearly that many where memcgs need few of them each.

    Of 50 objects, each missing for one in `1 + age x touches` of the time. False alarms: 1 in 150 000.
    """
    point = small_point(
        leftovers={"dentry": leftover(common=50, common_touch=0.001, common_turnovers=0.5)},
        load={"lifetime_s": 1.0, "lifetime_sigma": 0.0, "cache_creation_s": 0.0},
        design="page_ref",
        churn_hz=1.0,
        duration_s=10 * DAY_S,
    )
    peak, settled = 0, []
    for seed in range(8):
        _, series = age([replace(point, seed=seed)])
        peak = max(peak, series["dying_memcgs"].max())
        settled.extend(series["dying_memcgs"][SAMPLES // 2 :: 4])
    cached = 0.5 * DAY_S / 4 * 0.001  # of the time until a memcg needs it
    expected = 50 * cached / (1 + cached)

    assert peak <= 50
    assert abs(np.mean(settled) - expected) < Z * np.sqrt(expected / 5 / len(settled)) + 0.01 * expected


def test_memory_pressure_is_fed_by_what_it_must_reclaim():
    """On a host with little room the reclaim clock turns faster, the more so the heavier a dying memcg is."""
    tight = {"pressure": Pressure(memory_mib=600, in_use_mib=0, refill_mib_s=600 / DAY_S)}
    point = small_point(leftovers={"dentry": leftover(private=1, private_turnovers=5)}, load=tight, churn_hz=0.02)
    seen = by_design(replace(point, cpus=64))

    assert seen["unaccounted"]["reclaim_turnovers"] == pytest.approx(1, abs=0.1)
    assert seen["page_ref"]["reclaim_turnovers"] > 1.2 * seen["reparent_percpu"]["reclaim_turnovers"]


def test_a_row_does_not_depend_on_its_company():
    """A point alone has the row that it has among others."""
    points = designs_of(small_point(leftovers={"dentry": leftover(private=1.0)}))
    together, _ = age(points)

    for i, point in enumerate(points):
        alone, _ = age([point])
        assert all(alone[name][0] == values[i] for name, values in together.items())


def test_nobody_is_dead_where_nobody_goes():
    """Without churn gone memcgs hold nothing under any design, though the root's dentries are cached."""
    point = default_point(workload="web_frontend", kernel="linux-5.2", churn_hz=0.0, duration_s=DAY_S)

    for row in by_design(point).values():
        assert row["dead_bytes_end"] == row["dying_memcgs_end"] == row["zombie_share"] == 0
        assert row["dead_bytes_mean"] == 0.0
        assert row["num_cgroups_end"] == row["live_memcgs_end"] + 1


@pytest.mark.parametrize("design", ["page_ref", "objcg", "reuse_dead"])
def test_every_run_leaves_one(design):
    """A chance of 1 is every memcg, where a mean of 1 is 63 %; a chance of 0.1 is one in ten (5 standard errors)."""
    for leaving, share in ((leftover(chance=1.0), 1.0), (leftover(private=1.0), 0.632), (leftover(chance=0.1), 0.1)):
        kind = replace(leaving, private_turnovers=1e6)
        point = small_point(leftovers={PAGE_CACHE: kind}, design=design, load={"lifetime_s": 60.0}, churn_hz=0.05)
        gone = 0.05 * DAY_S
        seen = by_design(point)[design]["zombie_share"]
        if design == "reuse_dead":  # a cgroup that took a dead memcg over leaves it dead again
            assert seen >= share - 5 * np.sqrt(share * (1 - share) / gone) - 0.01
        else:
            assert abs(seen - share) <= 5 * np.sqrt(share * (1 - share) / gone) + 0.001


@pytest.mark.parametrize(
    ("name", "changes", "dying"),
    [
        ("socket", {"folio_reparenting": True}, True),
        ("socket", {"cgroup_version": 1}, False),
        ("swap", {"folio_reparenting": True}, True),
        ("swap", {"cgroup_version": 1}, False),
        ("swap", {"cgroup_version": 1, "swap_accounting": True}, True),
        ("mlock", {}, True),
        ("mlock", {"folio_reparenting": True}, False),
        ("tmpfs", {}, True),
        ("tmpfs", {"folio_reparenting": True}, False),
        ("cgwb", {}, True),
        ("cgwb", {"cgroup_version": 1}, False),
        ("stack", {}, True),
        ("stack", {"design": "unaccounted"}, False),
    ],
)
def test_what_else_pins(name, changes, dying):
    """Who is held by what on 5.2: every memcg leaves one thing for far longer than the day lasts."""
    point = small_point(
        leftovers={}, load={"pins": pins(**{name: Pin(chance=1.0, hold_s=1e9)}), "lifetime_s": 60.0}, **changes
    )
    (row,) = (age([point])[0],)

    gone = 0.01 * DAY_S
    assert (row["dying_memcgs_end"][0] > 0.8 * gone) == dying
    assert (row["dying_memcgs_end"][0] == 0) != dying
    assert (row["memcg_ids_end"][0] > 0.8 * gone) == (dying and name == "swap")
    assert (row["zombie_share"][0] == 1) == dying


def test_kernels_of_5_14_and_later_are_not_held_by_cgwbs():
    """c22d70a162d3 attaches the inodes of a dying cgwb to its parent's."""
    load = {"pins": pins(cgwb=Pin(chance=1.0, hold_s=1e9))}
    point = small_point(leftovers={}, load=load)

    seen = {
        kernel: age([replace(point, kernel=default_point(kernel=kernel).kernel)])[0]["dying_memcgs_end"][0]
        for kernel in ("linux-5.9", "linux-5.15")
    }

    assert seen["linux-5.9"] > 0 == seen["linux-5.15"]


def test_a_pod_is_three_memcgs_of_which_a_leftover_pins_two():
    """Memcgs online and dying, and what these weigh, follow the unit; what it leaves behind does not."""
    leftovers = {PAGE_CACHE: leftover(chance=0.5, private_turnovers=1e6)}
    one = small_point(leftovers=leftovers, design="objcg")
    pod = small_point(leftovers=leftovers, design="objcg", load={"memcgs_per_unit": 3, "levels_per_unit": 2})
    ours, theirs = age([one])[0], age([pod])[0]

    assert theirs["dying_memcgs_end"] == 2 * ours["dying_memcgs_end"]
    assert theirs["dead_bytes_end"] == 2 * ours["dead_bytes_end"]
    assert theirs["live_memcgs_end"] == 3 * ours["live_memcgs_end"]
    assert theirs["zombie_share"] == ours["zombie_share"]
    assert theirs["num_cgroups_end"] == theirs["live_memcgs_end"] + theirs["dying_memcgs_end"] + 1


def test_files_of_gone_memcgs_are_told_apart():
    """Cached files charged to gone memcgs are in a column of their own, and nobody's once folios are reparented."""
    leftovers = {PAGE_CACHE: leftover(chance=1.0, private_turnovers=1e6)}
    point = small_point(leftovers=leftovers, load={"file_kib": 100.0}, design="reparent_percpu")
    row, reparented = age([point])[0], age([replace(point, folio_reparenting=True)])[0]

    assert row["dead_page_cache_bytes_end"] == row["dying_memcgs_end"] * 100 * 1024
    assert reparented["dead_page_cache_bytes_end"] == reparented["dying_memcgs_end"] == 0
    assert reparented["dead_bytes_end"] == 0


def test_folios_hold_an_objcg_where_they_are_reparented():
    """With folio reparenting a cached file of a memcg that is gone pins an obj_cgroup instead."""
    leftovers = {PAGE_CACHE: leftover(chance=1.0, private_turnovers=1e6)}
    point = small_point(leftovers=leftovers, folio_reparenting=True)
    seen = by_design(point)

    assert seen["objcg"]["reparented_objcgs_end"] > 0.9 * 0.01 * DAY_S
    assert 0 < seen["objcg"]["dead_bytes_end"] < 200 * seen["objcg"]["reparented_objcgs_end"]
    assert seen["page_ref"]["dead_bytes_end"] == 0


def test_a_host_runs_out_of_memory_when_nothing_is_left_for_the_page_cache():
    """Dying memcgs of 100 MiB in all come to that in some hours; a roomy host never runs out."""
    tight = {"pressure": Pressure(memory_mib=100, in_use_mib=0, refill_mib_s=1e-6)}
    point = small_point(
        leftovers={"dentry": leftover(chance=1.0, private_turnovers=1e6)}, load=tight, churn_hz=0.05, design="page_ref"
    )
    row, roomy = age([point])[0], age([replace(point, workload=small_point(leftovers={}).workload)])[0]

    per_memcg = row["dead_bytes_end"][0] / row["dying_memcgs_end"][0]
    assert row["out_of_memory_s"][0] == pytest.approx(100 * 2**20 / per_memcg / 0.05, rel=0.1)
    assert roomy["out_of_memory_s"][0] == np.inf


def test_a_host_with_all_its_memory_in_use_is_refused():
    """The clock of reclaim would run backwards."""
    with pytest.raises(ValueError, match=r"pressure.memory_mib must be above in_use_mib, 100 \(got 100\); leave some"):
        Pressure(memory_mib=100, in_use_mib=100, refill_mib_s=1)


def test_list_lrus_keep_room_for_ids_of_memcgs_that_are_gone():
    """Before 5.18 what 12,287 memcgs online at once made room for stays: 5.6 GB and its pointers, nearly all dead."""
    load = {"mounts": 952, "peak_memcg_ids": 12287, "resident_memcgs": 400}
    point = small_point(leftovers={}, load=load, nodes=4)
    seen = by_design(point)["objcg"]

    assert seen["memory_bytes_dead_list_lru"] == pytest.approx(5.99e9 * 40 / 32 * 11887 / 24574, rel=1e-3)
    assert seen["memory_bytes_live_list_lru"] + seen["memory_bytes_dead_list_lru"] == 2 * 952 * 4 * 24574 * 40
    assert by_design(point)["unaccounted"]["memory_bytes_dead_list_lru"] == 0
    assert age([replace(point, kernel=default_point(kernel="linux-6.1").kernel)])[0]["memory_bytes_dead_list_lru"] == 0


GOLDEN = {
    "unaccounted": (63, 0, 0, 1889513, 0),
    "page_ref": (248, 0, 0, 12361604, 10472091),
    "reparent_atomic": (64, 199, 0, 4534244, 2644731),
    "reparent_percpu": (64, 199, 0, 4546980, 2657467),
    "page_list": (64, 199, 0, 4544232, 2654719),
    "reuse_dead": (5, 0, 0, 1263848, -625665),
    "objcg": (66, 0, 194, 2017153, 127640),
    "objcg_multi_stock": (66, 0, 194, 2017153, 127640),
    "objcg_per_node": (66, 0, 194, 2017153, 127640),
}


def test_one_small_scenario_to_the_last_integer():
    """A day of systemd timers at 8 CPUs on the sizes of 5.2: counts and bytes as they were when this was written."""
    point = default_point(workload="systemd_timers", kernel="linux-5.2", cpus=8, churn_hz=0.02, duration_s=DAY_S)
    names = (
        "dying_memcgs_end",
        "dangling_kmem_caches_end",
        "reparented_objcgs_end",
        "dead_bytes_end",
        "lost_bytes_end",
    )

    seen = {name: tuple(int(row[column]) for column in names) for name, row in by_design(point).items()}

    assert seen == GOLDEN
