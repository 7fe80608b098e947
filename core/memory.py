"""What a memcg, a per-memcg kmem_cache and an objcg weigh, by component.

Every function returns bytes by component; what a component holds is said where it is priced. Slab-backed structs have
the size of the kmalloc class or kmem_cache they come from; whole slabs are counted by `core.replay`, not here.
"""

from __future__ import annotations

from core.profile import KernelProfile

POINTER_BYTES = 8
PERCPU_REF_BYTES = 8  # percpu_ref_init() allocates one unsigned long per possible CPU
KMALLOC_BYTES = (8, 16, 32, 64, 96, 128, 192, 256, 512, 1024, 2048, 4096, 8192)  # mm/slab_common.c, x86-64
CACHE_LINE_BYTES = 64


def kmalloc_bytes(size: int, page_bytes: int) -> int:
    """Bytes that kmalloc() takes for `size`: the next class, or whole pages of a power-of-two order beyond 8 KiB."""
    if size <= KMALLOC_BYTES[-1]:
        return next(class_bytes for class_bytes in KMALLOC_BYTES if size <= class_bytes)
    return page_bytes << max(-(-size // page_bytes) - 1, 0).bit_length()


def memcg_components(profile: KernelProfile, possible_cpus: int, nodes: int, *, online: bool) -> dict[str, int]:
    """Bytes of one memcg with its cgroup, online or dying.

    rmdir removes the directory's kernfs nodes; all else stays until the last reference is gone (mem_cgroup_css_free(),
    css_free_rwork_fn()), the percpu part of both killed percpu_refs included.
    """
    s = profile.structs

    def kmalloc(size: int) -> int:
        return kmalloc_bytes(size, profile.page_bytes)

    stats_per_cpu = profile.stat_copies * (s.memcg_vmstats_percpu + nodes * s.lruvec_stats_percpu)
    heap_stats = [s.memcg_vmstats] * (s.memcg_vmstats > 0) + [s.lruvec_stats] * (s.lruvec_stats > 0) * nodes
    return {
        "memcg_struct": kmalloc(s.mem_cgroup + nodes * POINTER_BYTES),
        "memcg_nodes": nodes * kmalloc(s.mem_cgroup_per_node),
        "memcg_stats": possible_cpus * stats_per_cpu + sum(map(kmalloc, heap_stats)),
        "memcg_refs": possible_cpus * 2 * PERCPU_REF_BYTES + 2 * _ref_data_bytes(profile),  # of the css and the cgroup
        "cgroup_struct": kmalloc(s.cgroup + 2 * POINTER_BYTES),  # ancestor ids of a child of the root
        "cgroup_rstat": possible_cpus * s.cgroup_rstat_cpu,
        "kernfs": (profile.cgroup_files if online else 1) * profile.caches["kernfs_node_cache"],
    }


def kmem_cache_components(profile: KernelProfile, possible_cpus: int, nodes: int) -> dict[str, int]:
    """Bytes of one per-memcg kmem_cache beside its slabs, live or dangling.

    The percpu_ref is counted for the designs that give the cache one; see `core.designs`.
    """
    s = profile.structs
    struct = _align(s.kmem_cache + nodes * POINTER_BYTES, CACHE_LINE_BYTES)  # the cache of caches is hwcache-aligned
    return {
        "kmem_cache_struct": struct,
        "kmem_cache_cpus": possible_cpus * s.kmem_cache_cpu,
        "kmem_cache_nodes": nodes * s.kmem_cache_node,
        "kmem_cache_name": 32,
        "kmem_cache_sysfs": profile.memcg_slab_sysfs * profile.cache_files * profile.caches["kernfs_node_cache"],
    }


def objcg_components(profile: KernelProfile, possible_cpus: int) -> dict[str, int]:
    """Bytes of one obj_cgroup with its percpu_ref."""
    return {
        "objcg_struct": kmalloc_bytes(profile.structs.obj_cgroup, profile.page_bytes) + _ref_data_bytes(profile),
        "objcg_ref": possible_cpus * PERCPU_REF_BYTES,
    }


def _ref_data_bytes(profile: KernelProfile) -> int:
    data = profile.structs.percpu_ref_data
    return kmalloc_bytes(data, profile.page_bytes) if data else 0


def _align(size: int, to: int) -> int:
    return -(-size // to) * to
