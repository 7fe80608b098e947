"""What a memcg, a per-memcg kmem_cache, an objcg and a list_lru weigh, by component and by where it shows.

Bytes are keyed by component, whose meaning is said where it is priced, and by the line of /proc/meminfo that they are
part of. Slab-backed structs have the size of the kmalloc class or kmem_cache they come from; whole slabs are counted by
`core.validation.tmpfs`, not here. What kmalloc() takes from the page allocator is SUnreclaim too (since 5.5).
"""

from __future__ import annotations

from core.profile import KernelProfile

POINTER_BYTES = 8
PERCPU_REF_BYTES = 8  # percpu_ref_init() allocates one unsigned long per possible CPU
ANCESTOR_IDS_BYTES = 16  # cgroup.ancestor_ids[] of a child of the root; u64 since 5.5
CACHE_NAME_BYTES = 32  # "shmem_inode_cache(399:c199)" of memcg_create_kmem_cache(), and most others
CACHE_LINE_BYTES = 64
SLOT_BYTES = 8  # of a radix tree node, and of the obj_cgroup vector of a slab
KMALLOC = {  # mm/slab_common.c, kmalloc_info
    **{size: f"kmalloc-{size}" for size in (8, 16, 32, 64, 96, 128, 192, 256, 512)},
    **{size << 10: f"kmalloc-{size}k" for size in (1, 2, 4, 8)},
}


METERS = ("percpu", "sreclaimable", "sunreclaim")  # Percpu, SReclaimable and SUnreclaim of /proc/meminfo
PERCPU, SRECLAIMABLE, SUNRECLAIM = METERS
Bytes = dict[tuple[str, str], float]
"""By component and meter."""

FIRST_LRU_IDS = 4  # MEMCG_CACHES_MIN_SIZE, mm/memcontrol.c, 5.17
MAX_IDS = 65535  # MEM_CGROUP_ID_MAX, MEMCG_CACHES_MAX_SIZE
RCU_HEAD_BYTES = 16

ObjectsOf = dict[str, list[tuple[str, int]]]
"""By component, the cache and the bytes of each object; what kmalloc() takes from the page allocator has cache ''."""


def kmalloc(size: int, page_bytes: int) -> tuple[str, int]:
    """Cache and bytes that kmalloc() takes for `size`: the next class, or a power of two of pages beyond 8 KiB."""
    if size <= max(KMALLOC):
        class_bytes = next(class_bytes for class_bytes in KMALLOC if size <= class_bytes)
        return KMALLOC[class_bytes], class_bytes
    return "", page_bytes << max(-(-size // page_bytes) - 1, 0).bit_length()


def memcg_objects(profile: KernelProfile, nodes: int) -> ObjectsOf:
    """What creating a memcg and its cgroup allocates, but for kernfs nodes.

    mem_cgroup_alloc(), alloc_mem_cgroup_per_node_info(), alloc_shrinker_info(), cgroup_create(), psi_cgroup_alloc(),
    4.19 to 6.19; from kmalloc(), or from caches of their own where the profile has these (6.16).
    """
    s = profile.structs
    sizes = {
        "memcg_struct": [("mem_cgroup", s.mem_cgroup + nodes * POINTER_BYTES)],
        "memcg_nodes": nodes * [("mem_cgroup_per_node", s.mem_cgroup_per_node)],
        "memcg_shrinker": nodes * [("", s.shrinker_info)],
        "memcg_stats": [("", s.memcg_vmstats), *nodes * [("", s.lruvec_stats)]],
        "memcg_refs": 2 * [("", s.percpu_ref_data)],  # of the css and of the cgroup
        "cgroup_struct": [("", s.cgroup + ANCESTOR_IDS_BYTES)],
        "cgroup_psi": [("", s.psi_group)],
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
        "cgroup_psi": s.psi_group_cpu,
    }


def memcg_bytes(profile: KernelProfile, possible_cpus: int, nodes: int, *, online: bool) -> Bytes:
    """Bytes of one memcg with its cgroup, online or dying.

    rmdir removes the directory's files; all else stays until the last reference is gone (mem_cgroup_css_free(),
    css_free_rwork_fn()), the percpu part of both killed percpu_refs included.
    """
    kernfs_nodes = profile.cgroup_files if online else 1
    return total(
        {("kernfs", SUNRECLAIM): kernfs_nodes * profile.caches["kernfs_node_cache"]},
        _heap(memcg_objects(profile, nodes)),
        {(name, PERCPU): possible_cpus * size for name, size in memcg_percpu(profile, nodes).items()},
    )


def kmem_cache_bytes(profile: KernelProfile, possible_cpus: int, nodes: int, *, percpu_ref: bool) -> Bytes:
    """Bytes of one per-memcg kmem_cache beside its slabs, live or dangling; `percpu_ref` if the design gives it one.

    The struct comes from the cache of caches, which is aligned to cache lines (kmem_cache_init(), mm/slub.c).
    """
    s = profile.structs
    return {
        ("kmem_cache_struct", SUNRECLAIM): -(-(s.kmem_cache + nodes * POINTER_BYTES) // CACHE_LINE_BYTES)
        * CACHE_LINE_BYTES,
        ("kmem_cache_cpus", PERCPU): possible_cpus * s.kmem_cache_cpu,
        ("kmem_cache_nodes", SUNRECLAIM): nodes * s.kmem_cache_node,
        ("kmem_cache_ref", PERCPU): possible_cpus * PERCPU_REF_BYTES * percpu_ref,
        ("kmem_cache_sysfs", SUNRECLAIM): profile.memcg_slab_sysfs
        * (profile.cache_files * profile.caches["kernfs_node_cache"] + 2 * CACHE_NAME_BYTES),  # kobject and directory
        ("kmem_cache_name", SUNRECLAIM): CACHE_NAME_BYTES,
    }


def objcg_objects(profile: KernelProfile) -> ObjectsOf:
    """What obj_cgroup_alloc() allocates."""
    sizes = [profile.structs.obj_cgroup, profile.structs.percpu_ref_data]
    return {"objcg_struct": [kmalloc(size, profile.page_bytes) for size in sizes if size]}


def objcg_bytes(profile: KernelProfile, possible_cpus: int) -> Bytes:
    """Bytes of one obj_cgroup with its percpu_ref."""
    return total(_heap(objcg_objects(profile)), {("objcg_ref", PERCPU): possible_cpus * PERCPU_REF_BYTES})


def lru_pair_bytes(profile: KernelProfile, nodes: int) -> int:
    """Bytes that one list_lru keeps for one memcg, or for one memcg id.

    per_id: a list_lru_one per node, from kmalloc(), and a pointer to it in the node's array, for every id that there is
    room for (__memcg_init_list_lru_node(), mm/list_lru.c, 5.17). on_demand: one struct list_lru_memcg for all nodes
    (memcg_init_list_lru_one(), 5.18 and later).
    """
    one = profile.structs.list_lru_one
    if profile.list_lru_rule == "per_id":
        return nodes * (kmalloc(one, profile.page_bytes)[1] + POINTER_BYTES)
    return kmalloc(RCU_HEAD_BYTES + nodes * one, profile.page_bytes)[1]


def lru_ids(peak: int) -> int:
    """Ids that list_lrus have room for after so many memcgs were online at once (memcg_alloc_cache_id(), 5.17)."""
    room = FIRST_LRU_IDS
    while room < peak:
        room = min(2 * (room + 1), MAX_IDS)
        if room == MAX_IDS:
            break
    return room


def by_component(of: Bytes) -> dict[str, float]:
    """Add up the meters of each component."""
    found: dict[str, float] = {}
    for (component, _), size in of.items():
        found[component] = found.get(component, 0) + size
    return found


def total(*parts: Bytes) -> Bytes:
    """Add bytes up."""
    names = dict.fromkeys(name for part in parts for name in part)
    return {name: sum(part.get(name, 0) for part in parts) for name in names}


def _heap(objects: ObjectsOf) -> Bytes:
    return {(component, SUNRECLAIM): sum(size for _, size in each) for component, each in objects.items()}
