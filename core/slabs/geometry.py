"""Slab geometry: how many pages a kmem_cache takes for a slab, and how many objects it puts on it.

The rules are calculate_order() and set_cpu_partial() of mm/slub.c (4.19 to 6.19). They depend on the CPU count, so
'a slab of dentries is one page with 21 of them' holds for a small machine only.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from core.checks import one_of
from core.profile import KernelProfile

RECLAIMABLE = frozenset(
    {
        "dentry",
        "inode_cache",
        "ext4_inode_cache",
        "xfs_inode",
        "proc_inode_cache",
        "sock_inode_cache",
        "radix_tree_node",
        "buffer_head",
    }
)
"""Caches with SLAB_RECLAIM_ACCOUNT: NR_SLAB_RECLAIMABLE, meminfo's SReclaimable (Linux 5.2 to 6.19).

shmem_inode_cache and lsm_inode_cache are made without it: shmem_init_inodecache(), security_init().
"""
MAX_OBJS_PER_PAGE = 32767  # mm/slub.c, since struct page counts objects in 15 bits


@dataclass(frozen=True, kw_only=True)
class SlabGeometry:
    """Geometry of one kmem_cache at one CPU count.

    `cpu_partial_objects` and `cpu_partial_slabs` bound a CPU's partial list: the first by the free objects that slabs
    had when they were put there (put_cpu_partial(), 5.15 and earlier), the second by slabs (5.16). One of them is 0.
    `min_partial` is how many empty slabs a node may keep.
    """

    cache: str
    object_bytes: int
    order: int
    pages: int
    objects: int
    cpu_partial_objects: int
    cpu_partial_slabs: int
    min_partial: int


def slab_geometry(profile: KernelProfile, cache_name: str, possible_cpus: int, present_cpus: int) -> SlabGeometry:
    """Geometry of a cache of `profile` under SLUB.

    A slab should hold more objects the more CPUs share it: the possible ones (nr_cpu_ids), since 5.12 those present,
    unless that is one, which some architectures say early in boot. Raises ValueError if there is no such cache.
    """
    one_of("cache", cache_name, profile.caches, f"add it to kernel.caches of {profile.name}")
    size, page_bytes = profile.caches[cache_name], profile.page_bytes
    cpus = possible_cpus if profile.slab_order_rule == "4.19" or present_cpus == 1 else present_cpus
    min_objects = profile.slub_min_objects or 4 * (cpus.bit_length() + 1)
    calculate_order = _order_6_7 if profile.slab_order_rule == "6.7" else _order_4_19
    order = calculate_order(size, page_bytes, min_objects, profile.slub_max_order)
    objects = (page_bytes << order) // size
    budget = _cpu_partial_objects(size, page_bytes, profile.cpu_partial_rule)
    return SlabGeometry(
        cache=cache_name,
        object_bytes=size,
        order=order,
        pages=1 << order,
        objects=objects,
        cpu_partial_objects=budget if profile.cpu_partial_rule == "objects" else 0,
        cpu_partial_slabs=-(-2 * budget // objects) if profile.cpu_partial_rule == "slabs" else 0,
        min_partial=min(max((size.bit_length() - 1) // 2, 5), 10),
    )


def slab_allocator_geometry(profile: KernelProfile, cache_name: str) -> SlabGeometry:
    """Geometry of a cache under the SLAB allocator, which does not look at CPUs: calculate_slab_order(), 5.2.

    Reclaimable caches take the first order that holds an object; others give up pages only for waste below an eighth,
    and stop at order 1 (SLAB_MAX_ORDER_HI). The freelist lives in a free object (CFLGS_OBJFREELIST_SLAB).
    """
    one_of("cache", cache_name, profile.caches, f"add it to kernel.caches of {profile.name}")
    size, page_bytes = profile.caches[cache_name], profile.page_bytes
    order = _get_order(size, page_bytes)
    while cache_name not in RECLAIMABLE and order < 1 and (page_bytes << order) % size * 8 > page_bytes << order:
        order += 1
    objects = (page_bytes << order) // size
    return SlabGeometry(
        cache=cache_name,
        object_bytes=size,
        order=order,
        pages=1 << order,
        objects=objects,
        cpu_partial_objects=0,
        cpu_partial_slabs=0,
        min_partial=0,
    )


def _get_order(size: int, page_bytes: int) -> int:
    """Smallest order whose pages hold `size` bytes: get_order()."""
    return max(-(-size // page_bytes) - 1, 0).bit_length()


def _slab_order(size: int, page_bytes: int, min_order: int, max_order: int, fraction: int) -> int:
    """First order from `min_order` that wastes at most 1/`fraction` of the slab; `max_order` + 1 if none does."""
    if page_bytes // size > MAX_OBJS_PER_PAGE:
        return _get_order(size * MAX_OBJS_PER_PAGE, page_bytes) - 1
    orders = range(min_order, max_order + 1)
    return next((o for o in orders if (page_bytes << o) % size <= (page_bytes << o) // fraction), max_order + 1)


@cache
def _order_4_19(size: int, page_bytes: int, min_objects: int, max_order: int) -> int:
    """calculate_order() up to 6.6: give up waste first, then objects, then the order limit.

    5.12 changed which CPUs count, not the rule.
    """
    for objects in range(min(min_objects, (page_bytes << max_order) // size), 1, -1):
        for fraction in (16, 8, 4):
            order = _slab_order(size, page_bytes, _get_order(objects * size, page_bytes), max_order, fraction)
            if order <= max_order:
                return order
    order = _slab_order(size, page_bytes, _get_order(size, page_bytes), max_order, 1)
    return order if order <= max_order else _get_order(size, page_bytes)


@cache
def _order_6_7(size: int, page_bytes: int, min_objects: int, max_order: int) -> int:
    """calculate_order() since 6.7: the minimum order is settled once, then only waste is given up."""
    objects = min(min_objects, max((page_bytes << max_order) // size, 1))
    min_order = _get_order(objects * size, page_bytes)
    for fraction in (16, 8, 4, 2):
        order = _slab_order(size, page_bytes, min_order, max_order, fraction)
        if order <= max_order:
            return order
    return _get_order(size, page_bytes)


def _cpu_partial_objects(size: int, page_bytes: int, partial_rule: str) -> int:
    """set_cpu_partial(): objects that a CPU's partial list may hold, by object size."""
    by_size = (6, 24, 52, 120) if partial_rule == "slabs" else (2, 6, 13, 30)
    step = (size < page_bytes) + (size < 1024) + (size < 256)
    return by_size[step]
