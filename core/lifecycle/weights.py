"""What each thing that the lifecycle counts weighs, by component: the bridge from counts to bytes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import comb

import numpy as np
from numpy.typing import NDArray

from core.designs import Design
from core.lifecycle.leftovers import CACHES, DYING, DYING_WITH_CACHES, OBJCGS, OWN_OBJECTS, SHARED_OBJECTS, SLABS, state
from core.lifecycle.memory import POINTER_BYTES, kmem_cache_components, memcg_components, objcg_components
from core.params import Point
from core.profile import KernelProfile
from core.slabs.geometry import SlabGeometry, slab_allocator_geometry, slab_geometry
from core.slabs.slab import array_limits, first_refill
from core.workload import PAGE_CACHE

COMPONENTS: dict[str, str] = {
    "memcg_struct": "struct mem_cgroup",
    "memcg_nodes": "struct mem_cgroup_per_node",
    "memcg_stats": "statistics, per CPU and not",
    "memcg_refs": "percpu_refs of the css and the cgroup",
    "cgroup_struct": "struct cgroup",
    "cgroup_rstat": "cgroup_rstat_cpu",
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
    "slab_objects": "objects in use, on slabs",
    "slab_waste": "the rest of their slabs",
}
LIST_NODE_BYTES = 2 * POINTER_BYTES  # struct list_head: SLUB's slab pages have none to spare


@dataclass(frozen=True)
class Weights:
    """Bytes of one design on one kernel and machine.

    online: `[components]` of one memcg that came and will go. resident: `[components]` of all resident ones. counted:
    `[components, counts]` of one of each thing that `core.lifecycle.pinning` counts.
    """

    online: NDArray[np.float64]
    resident: NDArray[np.float64]
    counted: NDArray[np.float64]


def weigh(point: Point, design: Design) -> Weights:
    """Price what memcgs of the point's workload have while online, and each thing that they may leave behind."""
    load, kernel, possible = point.workload, point.kernel, point.nr_cpu_ids
    kinds = list(load.leftovers)
    counted = {name: np.zeros(3 + 4 * len(kinds)) for name in COMPONENTS}

    def price(which: int, of: Mapping[str, float], number: int = 1) -> None:
        for name, size_bytes in of.items():
            counted[name][which] += number * size_bytes

    price(DYING, memcg_components(kernel, possible, point.nodes, online=False))
    cache = kmem_cache_components(kernel, possible, point.nodes, percpu_ref=design.cache_ref == "percpu")
    if design.slab_pins == "memcg":
        price(DYING_WITH_CACHES, cache, len(load.caches))
    if design.charges == "bytes":
        price(OBJCGS, objcg_components(kernel, possible))
    for kind, name in enumerate(kinds):
        if name == PAGE_CACHE:
            continue
        slab = geometry_of(point, name)
        if design.slab_pins == "kmem_cache":
            price(state(CACHES, kind, len(kinds)), cache)
        price(state(SLABS, kind, len(kinds)), _slab_bytes(design, kernel, slab, slabs=1, objects=0))
        on_slab = {"slab_objects": slab.object_bytes, "slab_waste": -slab.object_bytes}
        price(state(OWN_OBJECTS, kind, len(kinds)), on_slab)
        shared = _slab_bytes(design, kernel, slab, slabs=1 / slab.objects, objects=1)
        price(state(SHARED_OBJECTS, kind, len(kinds)), shared)
    return Weights(
        online=_of_online(point, design, 1.0),
        resident=load.resident_memcgs * _of_online(point, design, load.resident_size),
        counted=np.array(list(counted.values())),
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


def _of_online(point: Point, design: Design, size: float) -> NDArray[np.float64]:
    """Bytes by component of one online memcg with `size` times the objects of one that comes and goes."""
    load, kernel, possible = point.workload, point.kernel, point.nr_cpu_ids
    parts: list[Mapping[str, float]] = [memcg_components(kernel, possible, point.nodes, online=True)]
    if design.per_memcg_caches:
        cache = kmem_cache_components(kernel, possible, point.nodes, percpu_ref=design.cache_ref == "percpu")
        parts += [cache] * len(load.caches)
    if design.charges == "bytes":
        parts.append(objcg_components(kernel, possible))
    for name, objects in load.caches.items():
        slab, allocated = geometry_of(point, name), round(objects * size)
        in_use = allocated * load.in_use
        slabs = own_slabs(point, slab, allocated) if design.per_memcg_caches else in_use / slab.objects
        parts.append(_slab_bytes(design, kernel, slab, slabs=slabs, objects=in_use))
    return np.array([sum(part.get(name, 0.0) for part in parts) for name in COMPONENTS])


def _slab_bytes(
    design: Design, kernel: KernelProfile, slab: SlabGeometry, *, slabs: float, objects: float
) -> dict[str, float]:
    slab_bytes = slab.pages * kernel.page_bytes
    return {
        "slab_objects": objects * slab.object_bytes,
        "slab_waste": slabs * slab_bytes - objects * slab.object_bytes,
        "objcg_vectors": slabs * slab.objects * POINTER_BYTES * (design.charges == "bytes"),
        "page_list": slabs * slab.pages * LIST_NODE_BYTES * design.lists_pages,
    }
