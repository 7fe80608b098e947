"""What a design's lifecycle comes to: laws that must hold, theory, and exact numbers of one scenario."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.designs import DESIGNS
from core.lifecycle.age import COLUMNS, GROUPS, SERIES_COLUMNS, age
from core.lifecycle.life import check_books, live
from core.lifecycle.pinning import SAMPLES
from core.lifecycle.population import populate
from core.workload import PAGE_CACHE, Pressure
from tests.support.points import default_point
from tests.support.small import DAY_S, leftover, small_point

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
    np.testing.assert_array_equal(np.sum([series[f"{group}_bytes"][last] for group in GROUPS], axis=0), totals)
    dead = np.sum([values for name, values in columns.items() if name.startswith("memory_bytes_dead_")], axis=0)
    np.testing.assert_array_equal(columns["lost_bytes_end"], dead - dead[list(DESIGNS).index("unaccounted")])
    assert min(values.min() for values in components) >= 0
    assert set(columns) == set(COLUMNS)
    assert set(series) == set(SERIES_COLUMNS)


def test_books_that_cannot_be_true_are_refused():
    """More slabs than objects on them is an error that names the design, the cache and by how much."""
    point = small_point(leftovers={"dentry": leftover(private=1.0)}, design="page_ref")
    life = live(point, DESIGNS["page_ref"], populate(point))
    life.counts[-1, 4] += life.counts[-1, 5] + 3  # slabs of dentries: objects on them, and three more

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


GOLDEN = {
    "unaccounted": (54, 0, 0, 0),
    "page_ref": (265, 0, 0, 11394188),
    "reparent_atomic": (58, 227, 0, 2953140),
    "reparent_percpu": (58, 227, 0, 2967668),
    "page_list": (58, 226, 0, 2967914),
    "reuse_dead": (3, 0, 0, -607155),
    "objcg": (54, 0, 219, 55920),
    "objcg_multi_stock": (54, 0, 219, 55920),
}


def test_one_small_scenario_to_the_last_integer():
    """A day of systemd timers at 8 CPUs on the sizes of 5.2: counts and bytes as they were when this was written."""
    point = default_point(workload="systemd_timers", kernel="linux-5.2", cpus=8, churn_hz=0.02, duration_s=DAY_S)
    names = ("dying_memcgs_end", "dangling_kmem_caches_end", "reparented_objcgs_end", "lost_bytes_end")

    seen = {name: tuple(int(row[column]) for column in names) for name, row in by_design(point).items()}

    assert seen == GOLDEN
