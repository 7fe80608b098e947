"""What a memcg, a per-memcg kmem_cache and an objcg weigh, by component.

Every function returns bytes by component; what a component holds is said where it is priced. Slab-backed structs have
the size of the kmalloc class or kmem_cache they come from; whole slabs are counted by `core.validation.tmpfs`, not
here.
"""

from __future__ import annotations

from core.profile import KernelProfile

POINTER_BYTES = 8
PERCPU_REF_BYTES = 8  # percpu_ref_init() allocates one unsigned long per possible CPU
SHRINKER_MAP_BYTES = 24  # struct memcg_shrinker_map: rcu_head, bits of up to 64 shrinkers (mm/memcontrol.c, 4.19)
ANCESTOR_IDS_BYTES = 16  # cgroup.ancestor_ids[] of a child of the root; u64 since 5.5
CACHE_NAME_BYTES = 32  # "shmem_inode_cache(399:c199)" of memcg_create_kmem_cache(), and most others
CACHE_LINE_BYTES = 64
SLOT_BYTES = 8  # of a radix tree node, and of the obj_cgroup vector of a slab
KMALLOC = {  # mm/slab_common.c, kmalloc_info
    **{size: f"kmalloc-{size}" for size in (8, 16, 32, 64, 96, 128, 192, 256, 512)},
    **{size << 10: f"kmalloc-{size}k" for size in (1, 2, 4, 8)},
}


Objects = dict[str, list[tuple[str, int]]]
"""By component, the cache and the bytes of each object; what kmalloc() takes from the page allocator has cache ''."""


def kmalloc(size: int, page_bytes: int) -> tuple[str, int]:
    """Cache and bytes that kmalloc() takes for `size`: the next class, or a power of two of pages beyond 8 KiB."""
    if size <= max(KMALLOC):
        class_bytes = next(class_bytes for class_bytes in KMALLOC if size <= class_bytes)
        return KMALLOC[class_bytes], class_bytes
    return "", page_bytes << max(-(-size // page_bytes) - 1, 0).bit_length()


def memcg_objects(profile: KernelProfile, nodes: int) -> Objects:
    """What creating a memcg and its cgroup allocates, but for kernfs nodes.

    mem_cgroup_alloc(), alloc_mem_cgroup_per_node_info(), memcg_alloc_shrinker_maps(), cgroup_create(), 4.19 to 6.19;
    from kmalloc(), or from caches of their own where the profile has these (6.16).
    """
    s = profile.structs
    sizes = {
        "memcg_struct": [("mem_cgroup", s.mem_cgroup + nodes * POINTER_BYTES)],
        "memcg_nodes": nodes * [("mem_cgroup_per_node", s.mem_cgroup_per_node), ("", SHRINKER_MAP_BYTES)],
        "memcg_stats": [("", s.memcg_vmstats), *nodes * [("", s.lruvec_stats)]],
        "memcg_refs": 2 * [("", s.percpu_ref_data)],  # of the css and of the cgroup
        "cgroup_struct": [("", s.cgroup + ANCESTOR_IDS_BYTES)],
    }
    return {
        component: [
            (cache, profile.caches[cache]) if cache in profile.caches else kmalloc(size, profile.page_bytes)
            for cache, size in wanted
            if size
        ]
        for component, wanted in sizes.items()
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
        _bytes(memcg_objects(profile, nodes)),
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


def objcg_objects(profile: KernelProfile) -> Objects:
    """What obj_cgroup_alloc() allocates."""
    sizes = [profile.structs.obj_cgroup, profile.structs.percpu_ref_data]
    return {"objcg_struct": [kmalloc(size, profile.page_bytes) for size in sizes if size]}


def objcg_components(profile: KernelProfile, possible_cpus: int) -> dict[str, int]:
    """Bytes of one obj_cgroup with its percpu_ref."""
    return _sum(_bytes(objcg_objects(profile)), {"objcg_ref": possible_cpus * PERCPU_REF_BYTES})


def _bytes(objects: Objects) -> dict[str, int]:
    return {component: sum(size for _, size in each) for component, each in objects.items()}


def _sum(*parts: dict[str, int]) -> dict[str, int]:
    names = dict.fromkeys(name for part in parts for name in part)
    return {name: sum(part.get(name, 0) for part in parts) for name in names}
