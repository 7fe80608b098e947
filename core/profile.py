"""What a kernel build is, as far as charging slab memory goes: sizes, rules and caches. Values live in conf/kernel/."""

from __future__ import annotations

from dataclasses import dataclass

from core.checks import at_least, one_of


@dataclass(frozen=True, kw_only=True)
class Structs:
    """sizeof() in bytes. A struct that a kernel lacks has the size of the nearest version that has it."""

    mem_cgroup: int  # without the trailing nodeinfo[], which adds a pointer per node
    mem_cgroup_per_node: int
    memcg_vmstats_percpu: int  # one copy, per possible CPU
    lruvec_stats_percpu: int  # one copy, per node and possible CPU
    memcg_vmstats: int  # heap part of the statistics; 0 where they live inside mem_cgroup
    lruvec_stats: int  # heap part, per node; 0 where they live inside mem_cgroup_per_node
    obj_cgroup: int
    percpu_ref_data: int  # heap part of a percpu_ref; 0 before 5.10 split it off
    cgroup: int  # without the trailing ancestor ids
    cgroup_rstat_cpu: int  # per possible CPU
    kmem_cache: int  # without the trailing node[], which adds a pointer per node
    kmem_cache_cpu: int  # per possible CPU
    kmem_cache_node: int  # per node

    def __post_init__(self) -> None:
        for name, size_bytes in vars(self).items():
            at_least(f"kernel.structs.{name}", size_bytes, 0)


@dataclass(frozen=True, kw_only=True)
class KernelProfile:
    """One kernel build. Every profile has every size, so that designs can be compared on one kernel's sizes."""

    name: str
    version: str
    source: str  # where the sizes come from, in words
    design: str  # how this kernel charges slab pages: a name in core.designs.DESIGNS
    charge_batch_pages: int  # MEMCG_CHARGE_BATCH
    uncharge_batched: bool  # kmem uncharges refill the stock (5.11 and later)
    stacks_pin_memcg: bool  # a kernel stack's pages hold the memcg (5.12 and earlier)
    protection_xchg_elided: bool  # propagate_protected_usage() skips the exchange while usage exceeds min and low
    memcg_slab_sysfs: bool  # CONFIG_SLUB_MEMCG_SYSFS_ON: per-memcg caches get a directory under /sys/kernel/slab
    page_bytes: int
    slab_order_rule: str  # the version whose calculate_order() rules: see core.slabs.geometry
    slub_min_objects: int  # boot parameter; 0 lets the kernel choose from the CPU count
    slub_max_order: int  # boot parameter, PAGE_ALLOC_COSTLY_ORDER unless given
    cpu_partial_rule: str  # what a CPU's partial list is bounded by: objects, slabs (5.16) or off
    stat_copies: int  # copies of the per-CPU statistics: 2 from 5.2 to 5.12 (local and hierarchical)
    cgroup_files: int  # kernfs nodes of a cgroup directory with the memory controller on
    cache_files: int  # kernfs nodes of a cache's directory under /sys/kernel/slab
    structs: Structs
    caches: dict[str, int]  # kmem_cache -> bytes from one object to the next, with alignment and free pointer

    def __post_init__(self) -> None:
        at_least("kernel.charge_batch_pages", self.charge_batch_pages, 1)
        at_least("kernel.stat_copies", self.stat_copies, 1)
        one_of("kernel.page_bytes", self.page_bytes, (4096, 16384, 65536))
        one_of("kernel.slab_order_rule", self.slab_order_rule, ("4.19", "5.12", "6.7"))
        one_of("kernel.cpu_partial_rule", self.cpu_partial_rule, ("objects", "slabs", "off"))
        for name, size_bytes in self.caches.items():
            at_least(f"kernel.caches.{name}", size_bytes, 8)
