"""What a memcg, a kmem_cache and an objcg weigh."""

import csv
import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.lifecycle.memory import (
    by_component,
    kmalloc,
    kmem_cache_bytes,
    lru_ids,
    lru_pair_bytes,
    memcg_bytes,
    memcg_percpu,
    objcg_bytes,
)
from core.profile import Structs
from tests.support import FIGURES

PROFILES = sorted({path.stem for path in (FIGURES.parent / "kernel").glob("[a-z]*.yaml")} - {"detected", "image"})


def test_percpu_bytes_of_a_dying_memcg_on_5_2_1(profile_of):
    """Hand-worked: two copies of 680 + 240, rstat 64, two percpu_refs; 3 caches of 32: 2016; a real 5.2.1 took 2027."""
    profile = profile_of("tiny-5.2.1")

    assert memcg_percpu(profile, nodes=1) == {
        "memcg_stats": 1840,
        "memcg_refs": 16,
        "cgroup_rstat": 64,
        "cgroup_psi": 0,
    }
    caches = by_component(kmem_cache_bytes(profile, 1, 1, percpu_ref=False))
    assert sum(memcg_percpu(profile, 1).values()) + 3 * caches["kmem_cache_cpus"] == 2016


def test_components_of_a_memcg_on_5_2_1(profile_of):
    """Hand-worked at 8 CPUs: 2120 B from kmalloc-4k, 776 and a map of 24 per node, 744 of cgroup from kmalloc-1k."""
    assert by_component(memcg_bytes(profile_of("tiny-5.2.1"), possible_cpus=8, nodes=1, online=False)) == {
        "kernfs": 136,
        "memcg_struct": 4096,
        "memcg_nodes": 1024,
        "memcg_shrinker": 32,
        "memcg_stats": 8 * 1840,
        "memcg_refs": 8 * 16,
        "cgroup_struct": 1024,
        "cgroup_psi": 0,
        "cgroup_rstat": 8 * 64,
    }


def test_percpu_ref_data_is_on_the_heap_since_5_10(profile_of):
    """Hand-worked: an objcg of 6.1 is 48 and 56 bytes from kmalloc-64, with a counter of 8 bytes per CPU."""
    assert objcg_bytes(profile_of("cloud-6.1"), possible_cpus=4) == {
        ("objcg_struct", "sunreclaim"): 128,
        ("objcg_ref", "percpu"): 32,
    }


def test_two_objects_of_1_kib_of_a_dying_memcg_on_6_1(profile_of):
    """A distribution's 6.1 has a psi_group and a shrinker_info, each from kmalloc-1k; 6.1 took 2.0 of these."""
    parts = by_component(memcg_bytes(profile_of("cloud-6.1"), possible_cpus=2, nodes=1, online=False))

    assert parts["cgroup_psi"] == 1024 + 2 * 128
    assert parts["memcg_shrinker"] == 1024


def test_list_lrus_of_a_host_that_once_had_many_memcgs(profile_of):
    """952 superblocks on 4 nodes, room for 24,574 ids: 5.6 GB of kmalloc-32, as published, and a pointer to each."""
    room = lru_ids(12287)

    assert room == 24574
    assert 2 * 952 * room * lru_pair_bytes(profile_of("linux-5.9"), nodes=4) == 2 * 952 * 4 * 24574 * (32 + 8)
    assert 2 * 952 * 4 * 24574 * 32 == 5_988_978_688


@pytest.mark.parametrize(("peak", "room"), [(0, 4), (4, 4), (5, 10), (11, 22), (12286, 12286), (65535, 65535)])
def test_room_for_ids_doubles(peak, room):
    """memcg_alloc_cache_id() makes room for twice the first id that does not fit, and one, up to 65,535."""
    assert lru_ids(peak) == room


def test_list_lrus_on_demand_are_one_object_for_all_nodes(profile_of):
    """From 5.18 on: 16 bytes and 24 per node, from kmalloc()."""
    assert lru_pair_bytes(profile_of("linux-6.1"), nodes=4) == 128


def test_published_350_kb_per_memcg(profile_of):
    """Golden: (2424 + 2 * 656) * 96 B is the 350.25 kB that 20220421145845.1044652-1-longman@redhat.com computes."""
    profile = profile_of("linux-5.15")
    structs = dataclasses.replace(profile.structs, memcg_vmstats_percpu=2424, lruvec_stats_percpu=656)

    stats = memcg_percpu(dataclasses.replace(profile, structs=structs), nodes=2)["memcg_stats"]

    assert stats * 96 == 350.25 * 1024


def test_kmalloc_beyond_its_classes_takes_whole_pages():
    """Hand-worked: 8193 bytes are order 2 of 4 KiB pages; one page of 64 KiB."""
    assert kmalloc(193, 4096) == ("kmalloc-256", 256)
    assert kmalloc(8192, 4096) == ("kmalloc-8k", 8192)
    assert kmalloc(8193, 4096) == ("", 16384)
    assert kmalloc(8193, 65536) == ("", 65536)


def test_sizes_of_the_reference_builds_are_golden(profile_of):
    """Profiles of the reference's own builds have the sizes compiled, where kmem_cache counts its one node."""
    names = {"lruvec_stats_percpu": "lruvec_stat"}
    with (FIGURES / "kernel_sizes.csv").open() as file:
        for row in csv.DictReader(file):
            structs = profile_of(f"tiny-{row['kernel']}").structs
            known = {f.name: names.get(f.name, f.name) for f in dataclasses.fields(Structs)}
            compiled = {name: int(row[column]) for name, column in known.items() if column in row}
            compiled["kmem_cache"] -= 8
            assert {name: getattr(structs, name) for name in compiled} == compiled


@pytest.mark.parametrize("name", PROFILES)
@given(cpus=st.integers(1, 512), nodes=st.integers(1, 16))
def test_memory_grows_with_cpus_and_nodes(profile_of, name, cpus, nodes):
    """Every profile prices every component; more CPUs or nodes never cost less, and a dying memcg never more."""
    profile = profile_of(name)

    def total(cpus, nodes, *, online):
        return sum(memcg_bytes(profile, cpus, nodes, online=online).values())

    assert total(cpus, nodes, online=False) < total(cpus, nodes, online=True)
    assert total(cpus, nodes, online=True) < total(cpus + 1, nodes, online=True)
    assert total(cpus, nodes, online=True) < total(cpus, nodes + 1, online=True)
    assert all(size > 0 for size in objcg_bytes(profile, cpus).values())
    cache = by_component(kmem_cache_bytes(profile, cpus, nodes, percpu_ref=True))
    assert cache["kmem_cache_ref"] == 8 * cpus
    assert (cache["kmem_cache_sysfs"] > 0) == profile.memcg_slab_sysfs
