"""What each thing that the lifecycle counts weighs, by component: the bridge from counts to bytes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import comb

import numpy as np
from numpy.typing import NDArray

from core.designs import Design
from core.geometry import SlabGeometry, slab_geometry
from core.memory import POINTER_BYTES, kmem_cache_components, memcg_components, objcg_components
from core.params import Point
from core.pinning import CACHES, DYING, DYING_WITH_CACHES, OBJCGS, OWN_OBJECTS, SHARED_OBJECTS, SLABS, state
from core.profile import KernelProfile
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

    live: `[components]` of one memcg that is online. counted: `[components, counts]` of one of each thing that
    `core.pinning` counts.
    """

    live: NDArray[np.float64]
    counted: NDArray[np.float64]


def weigh(point: Point, design: Design) -> Weights:
    """Price what one memcg of the point's workload has while online, and each thing it may leave behind."""
    load, kernel = point.workload, point.kernel
    possible = point.possible_cpus or point.cpus
    kinds = list(load.leftovers)
    live: dict[str, float] = dict.fromkeys(COMPONENTS, 0.0)
    counted: dict[str, NDArray[np.float64]] = {name: np.zeros(3 + 4 * len(kinds)) for name in COMPONENTS}

    def price(of: Mapping[str, float], times: float, where: int | None) -> None:
        for name, size_bytes in of.items():
            if where is None:
                live[name] += times * size_bytes
            else:
                counted[name][where] += times * size_bytes

    price(memcg_components(kernel, possible, point.nodes, online=True), 1, None)
    price(memcg_components(kernel, possible, point.nodes, online=False), 1, DYING)
    cache = kmem_cache_components(kernel, possible, point.nodes, percpu_ref=design.cache_ref == "percpu")
    if design.per_memcg_caches:
        price(cache, len(load.caches), None)
    if design.slab_pins == "memcg":
        price(cache, len(load.caches), DYING_WITH_CACHES)
    if design.charges == "bytes":
        price(objcg_components(kernel, possible), 1, None)
        price(objcg_components(kernel, possible), 1, OBJCGS)

    for name in load.caches:
        slab = slab_geometry(kernel, name, possible)
        objects = load.caches[name] * load.in_use
        slabs = live_slabs(point, slab) if design.per_memcg_caches else objects / slab.objects
        price(_slab_bytes(design, kernel, slab, slabs, objects), 1, None)
    for kind, name in enumerate(kinds):
        if name == PAGE_CACHE:
            continue
        slab = slab_geometry(kernel, name, possible)
        if design.slab_pins == "kmem_cache":
            price(cache, 1, state(CACHES, kind, len(kinds)))
        price(_slab_bytes(design, kernel, slab, 1, 0), 1, state(SLABS, kind, len(kinds)))
        price({"slab_objects": slab.object_bytes, "slab_waste": -slab.object_bytes}, 1, state(OWN_OBJECTS, kind, len(kinds)))
        price(_slab_bytes(design, kernel, slab, 1 / slab.objects, 1), 1, state(SHARED_OBJECTS, kind, len(kinds)))
    return Weights(live=np.array(list(live.values())), counted=np.array(list(counted.values())))


def live_slabs(point: Point, slab: SlabGeometry) -> float:
    """Mean number of slabs that an online memcg's own kmem_cache keeps.

    SLUB takes them CPU by CPU. The memcg's tasks stay `cpu_moves + 1` times on a CPU of chance, and a CPU that they
    stayed on k times has k shares of the objects, to the next whole slab: the mean over the binomial law of k. Slabs
    of objects that are gone again stay on the CPU's partial list, which holds more than a memcg has (set_cpu_partial()).
    """
    objects = point.workload.caches[slab.cache]
    stays = min(point.workload.cpu_moves + 1, objects)
    if not stays:
        return 0.0
    hit, miss = 1 / point.cpus, 1 - 1 / point.cpus
    return point.cpus * sum(
        comb(stays, k) * hit**k * miss ** (stays - k) * -(-round(k * objects / stays) // slab.objects)
        for k in range(1, stays + 1)
    )


def _slab_bytes(
    design: Design, kernel: KernelProfile, slab: SlabGeometry, slabs: float, objects: float
) -> dict[str, float]:
    slab_bytes = slab.pages * kernel.page_bytes
    return {
        "slab_objects": objects * slab.object_bytes,
        "slab_waste": slabs * slab_bytes - objects * slab.object_bytes,
        "objcg_vectors": slabs * slab.objects * POINTER_BYTES * (design.charges == "bytes"),
        "page_list": slabs * slab.pages * LIST_NODE_BYTES * design.lists_pages,
    }
