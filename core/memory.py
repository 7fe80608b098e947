"""What a memcg, a per-memcg kmem_cache and an objcg weigh, by component.

Every function returns bytes by component; what a component holds is said where it is priced. Slab-backed structs have
the size of the kmalloc class or kmem_cache they come from; whole slabs are counted by `core.replay`, not here.
"""

from __future__ import annotations

from core.checks import at_most
from core.profile import KernelProfile

POINTER_BYTES = 8
PERCPU_REF_BYTES = 8  # percpu_ref_init() allocates one unsigned long per possible CPU
SHRINKER_MAP_BYTES = 24  # struct memcg_shrinker_map: rcu_head and the bits of up to 64 shrinkers (mm/memcontrol.c, 4.19)
ANCESTOR_IDS_BYTES = 16  # cgroup.ancestor_ids[] of a child of the root; u64 since 5.5
CACHE_NAME_BYTES = 32  # "shmem_inode_cache(399:c199)" of memcg_create_kmem_cache(), and most others
CACHE_LINE_BYTES = 64
SLOT_BYTES = 8  # of a radix tree node, and of the obj_cgroup vector of a slab
RADIX_HEADER_BYTES = 72  # struct radix_tree_node (xa_node) without its slots, 4.20 to 6.19
KMALLOC = {  # mm/slab_common.c, kmalloc_info
    **{size: f"kmalloc-{size}" for size in (8, 16, 32, 64, 96, 128, 192, 256, 512)},
    **{size << 10: f"kmalloc-{size}k" for size in (1, 2, 4, 8)},
}


def kmalloc_cache(size: int) -> str:
    """Name of the cache that kmalloc() takes `size` bytes from. Raises ValueError beyond the largest class, 8 KiB."""
    at_most("kmalloc size", size, max(KMALLOC), "larger requests go to the page allocator")
    return next(name for class_bytes, name in KMALLOC.items() if size <= class_bytes)


def kmalloc_bytes(size: int, page_bytes: int) -> int:
    """Bytes that kmalloc() takes for `size`: the next class, or whole pages of a power-of-two order beyond 8 KiB."""
    if size <= max(KMALLOC):
        return next(class_bytes for class_bytes in KMALLOC if size <= class_bytes)
    return page_bytes << max(-(-size // page_bytes) - 1, 0).bit_length()


def radix_slots(profile: KernelProfile) -> int:
    """Slots of a radix tree node: 64, or 16 with CONFIG_BASE_SMALL."""
    return (profile.caches["radix_tree_node"] - RADIX_HEADER_BYTES) // SLOT_BYTES


def memcg_kmallocs(profile: KernelProfile, nodes: int) -> dict[str, list[int]]:
    """Sizes that creating a memcg and its cgroup asks of kmalloc(), by component.

    mem_cgroup_alloc(), alloc_mem_cgroup_per_node_info(), memcg_alloc_shrinker_maps(), cgroup_create(), 4.19 to 6.19.
    """
    s = profile.structs
    return {
        "memcg_struct": [s.mem_cgroup + nodes * POINTER_BYTES],
        "memcg_nodes": nodes * [s.mem_cgroup_per_node, SHRINKER_MAP_BYTES],
        "memcg_stats": _if_any(s.memcg_vmstats) + nodes * _if_any(s.lruvec_stats),
        "memcg_refs": 2 * _if_any(s.percpu_ref_data),  # of the css and of the cgroup
        "cgroup_struct": [s.cgroup + ANCESTOR_IDS_BYTES],
    }


def memcg_percpu(profile: KernelProfile, nodes: int) -> dict[str, int]:
    """Bytes per possible CPU of a memcg and its cgroup, by component."""
    s = profile.structs
    return {
        "memcg_stats": profile.stat_copies * (s.memcg_vmstats_percpu + nodes * s.lruvec_stats_percpu),
        "memcg_refs": 2 * PERCPU_REF_BYTES,
        "cgroup_rstat": s.cgroup_rstat_cpu,
    }


def memcg_components(profile: KernelProfile, possible_cpus: int, nodes: int, *, online: bool) -> dict[str, int]:
    """Bytes of one memcg with its cgroup, online or dying.

    rmdir removes the directory's files; all else stays until the last reference is gone (mem_cgroup_css_free(),
    css_free_rwork_fn()), the percpu part of both killed percpu_refs included.
    """
    kernfs_nodes = profile.cgroup_files if online else 1
    return _sum(
        {"kernfs": kernfs_nodes * profile.caches["kernfs_node_cache"]},
        _rounded(memcg_kmallocs(profile, nodes), profile),
        {name: possible_cpus * size for name, size in memcg_percpu(profile, nodes).items()},
    )


def kmem_cache_components(
    profile: KernelProfile, possible_cpus: int, nodes: int, *, percpu_ref: bool
) -> dict[str, int]:
    """Bytes of one per-memcg kmem_cache beside its slabs, live or dangling; `percpu_ref` if the design gives it one.

    The struct comes from the cache of caches, which is aligned to cache lines (kmem_cache_init(), mm/slub.c).
    """
    s = profile.structs
    return {
        "kmem_cache_struct": -(-(s.kmem_cache + nodes * POINTER_BYTES) // CACHE_LINE_BYTES) * CACHE_LINE_BYTES,
        "kmem_cache_cpus": possible_cpus * s.kmem_cache_cpu,
        "kmem_cache_nodes": nodes * s.kmem_cache_node,
        "kmem_cache_ref": possible_cpus * PERCPU_REF_BYTES * percpu_ref,
        "kmem_cache_sysfs": profile.memcg_slab_sysfs
        * (profile.cache_files * profile.caches["kernfs_node_cache"] + 2 * CACHE_NAME_BYTES),  # kobject and directory
        "kmem_cache_name": CACHE_NAME_BYTES,
    }


def objcg_kmallocs(profile: KernelProfile) -> dict[str, list[int]]:
    """Sizes that an obj_cgroup asks of kmalloc(): obj_cgroup_alloc()."""
    return {"objcg_struct": [profile.structs.obj_cgroup, *_if_any(profile.structs.percpu_ref_data)]}


def objcg_components(profile: KernelProfile, possible_cpus: int) -> dict[str, int]:
    """Bytes of one obj_cgroup with its percpu_ref."""
    return _sum(_rounded(objcg_kmallocs(profile), profile), {"objcg_ref": possible_cpus * PERCPU_REF_BYTES})


def _if_any(size: int) -> list[int]:
    return [size] if size else []


def _rounded(kmallocs: dict[str, list[int]], profile: KernelProfile) -> dict[str, int]:
    return {name: sum(kmalloc_bytes(size, profile.page_bytes) for size in sizes) for name, sizes in kmallocs.items()}


def _sum(*parts: dict[str, int]) -> dict[str, int]:
    names = dict.fromkeys(name for part in parts for name in part)
    return {name: sum(part.get(name, 0) for part in parts) for name in names}
