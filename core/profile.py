"""What a kernel build is, as far as charging slab memory goes: sizes, rules and caches. Values live in conf/kernel/."""

from __future__ import annotations

from core.checks import among, between, keep_rules
from core.designs import DESIGNS
from core.keys import key, record

# each changed what an object's charge costs
OBJCG_VERSIONS = ("5.9", "5.11", "5.15", "6.1", "6.7", "6.16", "7.1", "7.2")
STAT_FLUSHES = (
    "atomics",  # a CPU that drifted by a batch walks the levels (5.12 and earlier)
    "rstat",  # readers and a work collect them; no atomics
    "rstat_global",  # as rstat, and updates are counted in one word for all memcgs
    "rstat_memcg",  # as rstat, and updates are counted in a word per memcg and level
)

MOST_BYTES = 4 << 20  # KMALLOC_MAX_SIZE with pages of 4 KiB: 2 to the MAX_ORDER pages
MAX_ORDER = 10  # of the page allocator, include/linux/mmzone.h
MOST_OBJECTS = 32767  # on a slab, which counts them in 15 bits
SIZE = between(1, MOST_BYTES, "a size that a kernel lacks is the nearest version's", unit="bytes")
SIZE_OR_NONE = between(0, MOST_BYTES, "0 is for what lives inside another struct", unit="bytes")
STRIDE = between(8, MOST_BYTES, "a slab is of 4 MiB at most", unit="bytes")
BATCH = between(1, 1 << 20, "2^20 pages are 4 GiB; use stock=false to model no batching", unit="pages")
SLOTS = between(1, 64, "64 are beyond any that was proposed; mainline has 7 and 5")
FILES = between(1, 1000, "1000 are beyond any controller's; mainline has some 40")
DESIGN = among(DESIGNS)
OBJCG_VERSION = among(OBJCG_VERSIONS)


@record("lifecycle")
class Structs:
    """sizeof() in bytes. A struct that a kernel lacks has the size of the nearest version that has it."""

    mem_cgroup: int = key(rule=SIZE)  # without the trailing nodeinfo[], which adds a pointer per node
    mem_cgroup_per_node: int = key(rule=SIZE)  # one per node
    memcg_vmstats_percpu: int = key(rule=SIZE)  # one copy, per possible CPU
    lruvec_stats_percpu: int = key(rule=SIZE)  # one copy, per node and possible CPU
    memcg_vmstats: int = key(rule=SIZE_OR_NONE)  # heap part of the statistics; 0 where they live inside mem_cgroup
    lruvec_stats: int = key(rule=SIZE_OR_NONE)  # heap part, per node; 0 where they live inside mem_cgroup_per_node
    obj_cgroup: int = key(rule=SIZE)  # one per memcg, or per memcg and node
    percpu_ref_data: int = key(rule=SIZE_OR_NONE)  # heap part of a percpu_ref; 0 before 5.10 split it off
    cgroup: int = key(rule=SIZE)  # without the trailing ancestor ids
    cgroup_rstat_cpu: int = key(rule=SIZE)  # per possible CPU
    kmem_cache: int = key(rule=SIZE)  # without the trailing node[], which adds a pointer per node
    kmem_cache_cpu: int = key(rule=SIZE)  # per possible CPU
    kmem_cache_node: int = key(rule=SIZE)  # per node
    psi_group: int = key(rule=SIZE_OR_NONE)  # heap part; 0 where it lives inside cgroup (before 6.0) or PSI is off
    psi_group_cpu: int = key(rule=SIZE_OR_NONE)  # per possible CPU; 0 where PSI is off
    # per node: bits, and since 5.13 counters, of up to 64 shrinkers that know memcgs
    shrinker_info: int = key(rule=SIZE_OR_NONE)
    list_lru_one: int = key(rule=SIZE)  # per list_lru, node and memcg (or memcg id: see list_lru_rule)


@record()
class KernelProfile:
    """One kernel build. Every profile has every size, so that designs can be compared on one kernel's sizes."""

    name: str = key("label")  # what rows call it
    version: str = key("label")  # of mainline, or as the vendor says it
    source: str = key("label")  # where the sizes come from, in words
    image: str | None = key("label")  # the file that the profile was read from; null: conf/, or this machine
    design: str = key("own", rule=DESIGN)  # how this kernel charges slab pages: a name in core.designs.DESIGNS
    charge_batch_pages: int = key("own", rule=BATCH)  # MEMCG_CHARGE_BATCH
    stock_slots: int = key("own", rule=SLOTS)  # memcgs that a CPU's stock holds pages of: NR_MEMCG_STOCK, 1 before 6.16
    # which slot a full stock gives up: random or in_turn
    stock_victim: str = key("own", "charge", rule=among(("random", "in_turn")))
    uncharge_batched: bool = key("own")  # kmem uncharges refill the stock (5.11 and later)
    # the version of the obj_cgroup code; before 5.9, the first there was
    objcg_as_of: str = key("own", rule=OBJCG_VERSION)
    objcg_per_node: bool = key("own")  # a memcg has an obj_cgroup for each node (7.1 and later)
    # obj_cgroups that a CPU's byte stock holds bytes of: NR_OBJ_STOCK, 1 before 7.2
    byte_slots: int = key("own", rule=SLOTS)
    stacks_pin_memcg: bool = key("lifecycle")  # a kernel stack's pages hold the memcg (5.12 and earlier)
    cgwb_pins_memcg: bool = key("lifecycle")  # a bdi_writeback with inodes attached holds it (5.13 and earlier)
    # folios on an LRU list are reparented at offline and pin no memcg (7.1 and later)
    folio_reparenting: bool = key("own")
    filp_by_rcu: bool = key("own", "machine")  # a closed file is freed after an RCU grace period (6.6 and earlier)
    # propagate_protected_usage() skips the exchange while usage exceeds min and low
    protection_xchg_elided: bool = key("charge", "price")
    # how per-CPU statistics reach a memcg: atomics, rstat, rstat_global or rstat_memcg
    stat_flush: str = key("own", rule=among(STAT_FLUSHES))
    # what has a list_lru_one: per_id (every memcg id there ever was) or on_demand (5.18 and later)
    list_lru_rule: str = key("lifecycle", rule=among(("per_id", "on_demand")))
    cgroup_v1: bool = key("own")  # the build can mount the memory controller as cgroup v1
    memsw: bool = key("own")  # cgroup v1 charges memory plus swap unless booted with swapaccount=0 (5.8 and later)
    # CONFIG_SLUB_MEMCG_SYSFS_ON: per-memcg caches get a directory under /sys/kernel/slab
    memcg_slab_sysfs: bool = key("lifecycle", "price")
    # of the build
    page_bytes: int = key("machine", "lifecycle", rule=among((4096, 16384, 65536), "pages of x86 and arm64"))
    # the version whose calculate_order() rules: see core.slabs.geometry
    slab_order_rule: str = key("machine", "lifecycle", rule=among(("4.19", "5.12", "6.7")))
    # boot parameter; 0 lets the kernel choose from the CPU count
    slub_min_objects: int = key("machine", "lifecycle", rule=between(0, MOST_OBJECTS, "0 lets the kernel choose"))
    # boot parameter, PAGE_ALLOC_COSTLY_ORDER unless given
    slub_max_order: int = key("machine", "lifecycle", rule=between(0, MAX_ORDER, "MAX_ORDER is the page allocator's"))
    # what a CPU's partial list is bounded by: objects, slabs (5.16) or off
    cpu_partial_rule: str = key("machine", "lifecycle", rule=among(("objects", "slabs", "off")))
    # copies of the per-CPU statistics: 2 from 5.2 to 5.12 (local and hierarchical)
    stat_copies: int = key("lifecycle", "price", rule=between(1, 2, "no kernel had more"))
    # kernfs nodes of a cgroup directory with the memory controller on
    cgroup_files: int = key("lifecycle", "price", rule=FILES)
    # kernfs nodes of a cache's directory under /sys/kernel/slab
    cache_files: int = key("lifecycle", "price", rule=FILES)
    structs: Structs = key()  # sizes
    # kmem_cache -> bytes from one object to the next, with alignment and free pointer
    caches: dict[str, int] = key("machine", "lifecycle", "price", rule=STRIDE)

    def __post_init__(self) -> None:
        keep_rules(KernelProfile, self, "kernel.")
