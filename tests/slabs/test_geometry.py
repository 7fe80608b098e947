"""Slab geometry against what kernels report and what their sources say."""

import csv
import dataclasses
import os
import platform
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.slabs.geometry import slab_geometry
from tests.support import FIGURES

CPUS = (4, 16, 64, 128, 256)

# cache: order/objects at each of CPUS, then cpu_partial and min_partial; compiled sizes, calculate_order() of 5.2
LINUX_5_2 = {
    "dentry": ("0/21 1/42 1/42 1/42 1/42", 30, 5),
    "inode_cache": ("2/27 2/27 3/55 3/55 3/55", 13, 5),
    "ext4_inode_cache": ("3/30 3/30 3/30 3/30 3/30", 6, 5),
    "proc_inode_cache": ("2/24 2/24 3/49 3/49 3/49", 13, 5),
    "shmem_inode_cache": ("2/23 3/46 3/46 3/46 3/46", 13, 5),
    "filp": ("0/16 1/32 1/32 2/64 2/64", 13, 5),
    "task_struct": ("3/4 3/4 3/4 3/4 3/4", 2, 6),
    "vm_area_struct": ("0/20 1/40 1/40 1/40 1/40", 30, 5),
    "anon_vma": ("0/46 0/46 0/46 0/46 0/46", 30, 5),
    "anon_vma_chain": ("0/64 0/64 0/64 0/64 0/64", 30, 5),
    "radix_tree_node": ("2/28 2/28 3/56 3/56 3/56", 13, 5),
    "signal_cache": ("3/30 3/30 3/30 3/30 3/30", 6, 5),
    "sighand_cache": ("3/15 3/15 3/15 3/15 3/15", 6, 5),
    "mm_struct": ("2/16 3/32 3/32 3/32 3/32", 6, 5),
    "pid": ("0/32 0/32 0/32 1/64 1/64", 30, 5),
    "kmalloc-32": ("0/128 0/128 0/128 0/128 0/128", 30, 5),
    "kmalloc-8": ("0/512 0/512 0/512 0/512 0/512", 30, 5),
    "kmalloc-512": ("1/16 2/32 2/32 3/64 3/64", 13, 5),
    "kmalloc-2k": ("3/16 3/16 3/16 3/16 3/16", 6, 5),
    "kmalloc-4k": ("3/8 3/8 3/8 3/8 3/8", 2, 6),
}


@pytest.mark.parametrize("cache", LINUX_5_2)
def test_orders_of_linux_5_2_are_golden(profile_of, cache):
    """Orders, objects and limits of 20 caches at 5 CPU counts are those of the 5.2 sources."""
    orders, cpu_partial, min_partial = LINUX_5_2[cache]

    found = [slab_geometry(profile_of("linux-5.2"), cache, cpus, cpus) for cpus in CPUS]

    assert " ".join(f"{g.order}/{g.objects}" for g in found) == orders
    limits = {(g.cpu_partial_objects, g.cpu_partial_slabs, g.min_partial) for g in found}
    assert limits == {(cpu_partial, 0, min_partial)}


def test_slabs_of_real_kernels_are_golden(profile_of):
    """Every cache of the reference's kernels has the objects and pages that the kernel reported, at each CPU count."""
    with (FIGURES / "kernels.csv").open() as file:
        profiles = {row["kernel"]: profile_of(row["profile"]) for row in csv.DictReader(file)}
    with (FIGURES / "vm_slabs.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row["kmem_cache"] in profiles[row["kernel"]].caches]

    reported = {
        (row["kernel"], int(row["cpus"]), row["kmem_cache"]): tuple(
            int(row[column]) for column in ("object_bytes", "objects_per_slab", "pages_per_slab")
        )
        for row in rows
    }

    computed = {}
    for kernel, cpus, cache in reported:
        g = slab_geometry(profiles[kernel], cache, cpus, cpus)
        computed[kernel, cpus, cache] = (g.object_bytes, g.objects, g.pages)
    assert computed == reported
    assert len(reported) > 100


@pytest.mark.skipif(not os.access("/proc/slabinfo", os.R_OK), reason="/proc/slabinfo is for root")
def test_slabs_of_this_machine_are_golden(profile_of):
    """The detected profile gives this machine's caches the geometry that /proc/slabinfo shows."""
    profile, cpus = profile_of("detected"), os.cpu_count()
    lines = Path("/proc/slabinfo").read_text().splitlines()[2:]
    reported = {line.split()[0]: tuple(int(word) for word in line.split()[3:6]) for line in lines}

    wrong = {}
    for name in reported.keys() & profile.caches.keys() - {"kvm_vcpu"}:  # an order above the limit, given by hand
        g = slab_geometry(profile, name, cpus, cpus)
        if (g.object_bytes, g.objects, g.pages) != reported[name]:
            wrong[name] = (g, reported[name])
    assert wrong == {}, platform.release()


def test_partial_list_is_bounded_in_slabs_since_5_16(profile_of):
    """Hand-worked: 120 objects of 192 bytes at 21 a slab, doubled, make 12 slabs; of 1 KiB, 24 at 32 make 2."""
    profile = profile_of("linux-6.1")

    assert slab_geometry(profile, "dentry", 4, 4).cpu_partial_slabs == 12
    assert slab_geometry(profile, "kmalloc-1k", 16, 16).cpu_partial_slabs == 2


def test_min_objects_can_be_given(profile_of):
    """Hand-worked: with slub_min_objects=4, four 1 KiB objects fill one page and order 0 will do."""
    profile = dataclasses.replace(profile_of("linux-5.2"), slub_min_objects=4)

    assert slab_geometry(profile, "kmalloc-1k", 256, 256).order == 0


def test_present_cpus_count_since_5_12(profile_of):
    """Hand-worked: a guest with 4 of 256 possible CPUs puts 42 dentries on 2 pages in 5.9, and 21 on 1 in 5.15."""
    assert slab_geometry(profile_of("linux-5.9"), "dentry", 256, 4).objects == 42
    assert slab_geometry(profile_of("linux-5.15"), "dentry", 256, 4).objects == 21
    assert slab_geometry(profile_of("linux-5.15"), "dentry", 256, 1).objects == 42


def test_unknown_cache_is_one_line(profile_of):
    """A cache that the profile lacks is refused with the key to set."""
    with pytest.raises(ValueError, match=r"cache must be one of .*add it to kernel.caches of linux-5.2"):
        slab_geometry(profile_of("linux-5.2"), "no_such_cache", 4, 4)


@given(
    size=st.integers(8, 8192).map(lambda n: n // 8 * 8),
    cpus=st.integers(1, 8192),
    page_bytes=st.sampled_from((4096, 16384, 65536)),
    rule=st.sampled_from(("4.19", "5.12", "6.7")),
)
def test_every_slab_holds_objects_and_wastes_less_than_half(profile_of, size, cpus, page_bytes, rule):
    """Whatever the size, a slab has room for an object, is at most the largest order, and is more than half used."""
    profile = dataclasses.replace(
        profile_of("linux-5.2"), page_bytes=page_bytes, slab_order_rule=rule, caches={"it": size}
    )

    g = slab_geometry(profile, "it", cpus, cpus)

    assert g.objects >= 1
    assert g.order <= profile.slub_max_order
    assert 2 * g.objects * size > page_bytes << g.order
