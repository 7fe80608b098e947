"""What each thing that the lifecycle counts weighs, by component: the bridge from counts to bytes."""

from __future__ import annotations

from dataclasses import dataclass
from math import comb

import numpy as np
from numpy.typing import NDArray

from core.designs import Design
from core.lifecycle.leftovers import (
    CACHES,
    DYING,
    DYING_WITH_CACHES,
    OBJCGS,
    OWN_OBJECTS,
    ROOT_OBJECTS,
    SHARED_OBJECTS,
    SLABS,
    counts_of,
    state,
)
from core.lifecycle.memory import (
    METERS,
    POINTER_BYTES,
    SRECLAIMABLE,
    SUNRECLAIM,
    Bytes,
    kmem_cache_bytes,
    lru_pair_bytes,
    memcg_bytes,
    objcg_bytes,
)
from core.params import Point
from core.profile import KernelProfile
from core.slabs.geometry import RECLAIMABLE, SlabGeometry, slab_allocator_geometry, slab_geometry
from core.slabs.slab import array_limits, first_refill
from core.workload import PAGE_CACHE

COMPONENTS: dict[str, str] = {
    "memcg_struct": "struct mem_cgroup",
    "memcg_nodes": "struct mem_cgroup_per_node",
    "memcg_shrinker": "bits and counters of shrinkers that know memcgs",
    "memcg_stats": "statistics, per CPU and not",
    "memcg_refs": "percpu_refs of the css and the cgroup",
    "cgroup_struct": "struct cgroup",
    "cgroup_rstat": "cgroup_rstat_cpu",
    "cgroup_psi": "struct psi_group, with its part per CPU",
    "kernfs": "kernfs nodes of the cgroup's directory",
    "kmem_cache_struct": "struct kmem_cache of per-memcg caches",
    "kmem_cache_cpus": "kmem_cache_cpu of per-memcg caches",
    "kmem_cache_nodes": "kmem_cache_node of per-memcg caches",
    "kmem_cache_name": "name and parameters of per-memcg caches",
    "kmem_cache_sysfs": "kernfs nodes of per-memcg caches under /sys/kernel/slab",
    "kmem_cache_ref": "percpu_ref of per-memcg caches",
    "objcg_struct": "struct obj_cgroup",
    "objcg_ref": "percpu_ref of objcgs",
    "objcg_vectors": "an objcg pointer per slab object",
    "page_list": "list nodes of charged slab pages",
    "list_lru": "what list_lrus keep for memcgs or memcg ids",
    "slab_objects": "objects in use, on slabs",
    "slab_waste": "the rest of their slabs",
}
_ROW = {name: row for row, name in enumerate(COMPONENTS)}
LIST_NODE_BYTES = 2 * POINTER_BYTES  # struct list_head: SLUB's slab pages have none to spare


LISTS_PER_MOUNT = 2  # s_dentry_lru and s_inode_lru of struct super_block


@dataclass(frozen=True)
class Weights:
    """Bytes of one design on one kernel and machine, by component and by meter.

    online: `[components, METERS]` of one unit that came and will go. resident: `[components, METERS]` of all resident
    memcgs. counted: `[components, METERS, counts]` of one of each thing that `core.lifecycle.pinning` counts. gone:
    `[counts]` whether memcgs that are gone hold it; the others are the root's.
    """

    online: NDArray[np.float64]
    resident: NDArray[np.float64]
    counted: NDArray[np.float64]
    gone: NDArray[np.bool_]


def weigh(point: Point, design: Design) -> Weights:
    """Price what memcgs of the point's workload have while online, and each thing that they may leave behind."""
    load, kernel, possible = point.workload, point.kernel, point.nr_cpu_ids
    kinds = list(load.leftovers)
    counted = np.zeros((len(COMPONENTS), len(METERS), counts_of(len(kinds))))
    gone = np.ones(counts_of(len(kinds)), np.bool_)

    def price(which: int, of: Bytes, number: int = 1) -> None:
        counted[:, :, which] += number * _table(of)

    price(DYING, memcg_bytes(kernel, possible, point.nodes, online=False), load.levels_per_unit)
    cache = kmem_cache_bytes(kernel, possible, point.nodes, percpu_ref=design.cache_ref == "percpu")
    if design.slab_pins == "memcg":
        price(DYING_WITH_CACHES, cache, len(load.caches))
    if design.charges == "bytes":
        price(OBJCGS, objcg_bytes(kernel, possible))
    for kind, name in enumerate(kinds):
        if name == PAGE_CACHE:
            continue
        slab = geometry_of(point, name)
        if design.slab_pins == "kmem_cache":
            price(state(CACHES, kind, len(kinds)), cache)
        price(state(SLABS, kind, len(kinds)), _slab_bytes(design, kernel, slab, slabs=1, objects=0))
        meter = SRECLAIMABLE if name in RECLAIMABLE else SUNRECLAIM
        on_slab: Bytes = {("slab_objects", meter): slab.object_bytes, ("slab_waste", meter): -slab.object_bytes}
        price(state(OWN_OBJECTS, kind, len(kinds)), on_slab)
        shared = _slab_bytes(design, kernel, slab, slabs=1 / slab.objects, objects=1)
        price(state(SHARED_OBJECTS, kind, len(kinds)), shared)
        price(state(ROOT_OBJECTS, kind, len(kinds)), shared)
        gone[state(ROOT_OBJECTS, kind, len(kinds))] = False
    return Weights(
        online=_of_online(point, design, 1.0, load.memcgs_per_unit),
        resident=load.resident_memcgs * _of_online(point, design, load.resident_size, 1),
        counted=counted,
        gone=gone,
    )


def geometry_of(point: Point, cache: str) -> SlabGeometry:
    """Geometry of a kmem_cache under the point's allocator."""
    if point.allocator == "slab":
        return slab_allocator_geometry(point.kernel, cache)
    return slab_geometry(point.kernel, cache, point.nr_cpu_ids, point.cpus)


def own_slabs(point: Point, slab: SlabGeometry, objects: int) -> float:
    """Mean number of slabs of a memcg's own kmem_cache, from which it allocated so many objects while online.

    SLUB takes them CPU by CPU. The memcg's tasks stay `cpu_moves + 1` times on a CPU of chance, and a CPU that they
    stayed on k times has k shares of the objects, to the next whole slab: the mean over the binomial law of k. Slabs of
    objects gone again stay on the CPU's partial list, which holds more than a memcg has (set_cpu_partial()). SLAB takes
    them for all CPUs at once, and each CPU keeps part of its first refill free (cache_alloc_refill(), mm/slab.c, 5.2).
    """
    stays = min(point.workload.cpu_moves + 1, objects)
    if not stays:
        return 0.0
    hit, miss = 1 / point.cpus, 1 - 1 / point.cpus
    if point.allocator == "slab":
        limit, _ = array_limits(slab.object_bytes, point.kernel.page_bytes, point.nr_cpu_ids)
        spare = first_refill(limit) / 2
        return -(-(objects + point.cpus * (1 - miss**stays) * spare) // slab.objects)
    return point.cpus * sum(
        comb(stays, k) * hit**k * miss ** (stays - k) * -(-round(k * objects / stays) // slab.objects)
        for k in range(1, stays + 1)
    )


def _of_online(point: Point, design: Design, size: float, memcgs: int) -> NDArray[np.float64]:
    """Bytes, `[components, METERS]`, of so many online memcgs, one of which has objects: `size` times a unit's."""
    load, kernel, possible = point.workload, point.kernel, point.nr_cpu_ids
    table = memcgs * _table(memcg_bytes(kernel, possible, point.nodes, online=True))
    if design.per_memcg_caches:
        cache = kmem_cache_bytes(kernel, possible, point.nodes, percpu_ref=design.cache_ref == "percpu")
        table += len(load.caches) * _table(cache)
    if design.charges == "bytes":
        objcgs = memcgs * design.objcgs_of_memcg(point.nodes)
        table += objcgs * _table(objcg_bytes(kernel, possible))
    if design.accounts and kernel.list_lru_rule == "on_demand":
        lists = LISTS_PER_MOUNT * load.mounts_used
        table += lists * _table({("list_lru", SUNRECLAIM): lru_pair_bytes(kernel, point.nodes)})
    for name, objects in load.caches.items():
        slab, allocated = geometry_of(point, name), round(objects * size)
        in_use = allocated * load.in_use
        slabs = own_slabs(point, slab, allocated) if design.per_memcg_caches else in_use / slab.objects
        table += _table(_slab_bytes(design, kernel, slab, slabs=slabs, objects=in_use))
    return table


def _slab_bytes(design: Design, kernel: KernelProfile, slab: SlabGeometry, *, slabs: float, objects: float) -> Bytes:
    slab_bytes = slab.pages * kernel.page_bytes
    meter = SRECLAIMABLE if slab.cache in RECLAIMABLE else SUNRECLAIM
    return {
        ("slab_objects", meter): objects * slab.object_bytes,
        ("slab_waste", meter): slabs * slab_bytes - objects * slab.object_bytes,
        ("objcg_vectors", SUNRECLAIM): slabs * slab.objects * POINTER_BYTES * (design.charges == "bytes"),
        ("page_list", SUNRECLAIM): slabs * slab.pages * LIST_NODE_BYTES * design.lists_pages,
    }


def _table(of: Bytes) -> NDArray[np.float64]:
    table = np.zeros((len(COMPONENTS), len(METERS)))
    for (component, meter), size_bytes in of.items():
        table[_ROW[component], METERS.index(meter)] += size_bytes
    return table
