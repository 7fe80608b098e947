"""One point of a sweep, whole: what is simulated, on which kernel, under which load, at whose prices.

The typed shape of `conf/` is derived from these dataclasses (`sweep.config.schema`), so a key, its type and its rule
are written once. Defaults live in YAML only.
"""

from __future__ import annotations

from core.checks import one_of, within
from core.designs import DESIGNS
from core.host import Host
from core.keys import key, record
from core.profile import KernelProfile
from core.workload import Workload


@record()
class Point:
    """A scenario seen by one design with one setting of every axis.

    `design`, `cpus`, `batch` and the cross-settings decide what a kernel does with the scenario's events; they never
    change the events. `workload`, `churn_hz`, `seed` and `replicate` are the scenario (`core.scenario`).
    """

    design: str = key("charge", "price", "label", named=True)  # a name in core.designs.DESIGNS
    cpus: int = key("machine", "lifecycle", "price", "label", named=True)  # online simulated CPUs, not cluster cores
    possible_cpus: int | None = key("machine", "lifecycle")  # CPUs with per-CPU memory; null: the online ones
    nodes: int = key("machine", "lifecycle", "price")  # NUMA nodes
    batch: int = key("batch", named=True)  # pages a CPU's stock takes at once: MEMCG_CHARGE_BATCH
    stat_batch: int | None = key("batch")  # pages that a per-CPU statistic may drift; null: the charge batch
    stock: bool = key("charge")  # per-CPU stock in use; false: every charge walks the counters (a bound)
    uncharge_batched: bool | None = key("charge")  # uncharges go to the stock (5.11+); null: as the design's kernel did
    depth: int = key("charge", "price")  # levels below the root; a child of the root has depth 1 and walks 2 counters
    cgroup_version: int = key("charge", "price", "lifecycle")  # 1 or 2
    swap_accounting: bool = key("charge", "price", "lifecycle")  # cgroup v1 only: the memsw counter is charged too
    protected_levels: int = key("charge", "price")  # levels of the path with memory.min or memory.low set
    folio_reparenting: bool = key("lifecycle")  # page cache is reparented at offline, so it pins no memcg
    allocator: str = key("machine", "lifecycle")  # slub or slab
    page_list_lock: str = key("price")  # page_list only: memcg, memcg_node or kmem_cache
    objcg_as_of: str = key("charge")  # objcg only: 5.9, 5.11, 5.15 or 6.1
    churn_hz: float = key("scenario", named=True)  # units that come online per simulated second
    duration_s: float = key("scenario")  # simulated time of the lifecycle
    seed: int = key("scenario", "realisation")  # another seed, another realisation of the scenario
    replicate: int = key("scenario", "realisation")  # counts the realisations under one seed, from 0
    kernel: KernelProfile = key()  # by name in results
    workload: Workload = key()  # by name in results
    host: Host = key()  # price table, by name in results

    @property
    def nr_cpu_ids(self) -> int:
        """CPUs that per-CPU memory is allocated for: the possible ones."""
        return self.possible_cpus or self.cpus

    def __post_init__(self) -> None:
        one_of("design", self.design, DESIGNS)
        within("cpus", self.cpus, 1, 8192, "8192 is the most that x86 Linux is built for")
        within("nodes", self.nodes, 1, 1024)
        if self.possible_cpus is not None:
            within("possible_cpus", self.possible_cpus, self.cpus, 8192, "every online CPU is a possible one")
        within("batch", self.batch, 1, 1 << 20, "use stock=false to model no batching")
        if self.stat_batch is not None:
            within("stat_batch", self.stat_batch, 1, 1 << 20)
        within("depth", self.depth, 1, 64)
        one_of("cgroup_version", self.cgroup_version, (1, 2))
        within("protected_levels", self.protected_levels, 0, self.depth, "depth says how many levels there are")
        one_of("allocator", self.allocator, ("slub", "slab"))
        if self.allocator == "slab":
            within("nodes", self.nodes, 1, 1, "allocator=slab is modelled without alien caches, on one node")
        one_of("page_list_lock", self.page_list_lock, ("memcg", "memcg_node", "kmem_cache"))
        one_of("objcg_as_of", self.objcg_as_of, ("5.9", "5.11", "5.15", "6.1"))
        within("churn_hz", self.churn_hz, 0, 10_000)
        within("duration_s", self.duration_s, 1, 1e9, "1e9 s are 32 years")
        within("seed", self.seed, 0, (1 << 63) - 1)
        for inside, names in (("caches", self.workload.caches), ("charge.caches", self.workload.charge.caches)):
            if not names.keys() <= self.kernel.caches.keys():
                unknown = min(names.keys() - self.kernel.caches.keys())
                way_out = f"add it to kernel.caches of {self.kernel.name}"
                one_of(f"workload.{inside}", unknown, self.kernel.caches, way_out)
