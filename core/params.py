"""One point of a sweep, whole: what is simulated, on which kernel, under which load, at whose prices.

The typed shape of `conf/` is derived from these dataclasses (`sweep.config.schema`), so a key, its type and its rule
are written once. Defaults live in YAML only.
"""

from __future__ import annotations

import math
from typing import Any

from core.checks import at_most, one_of, within
from core.designs import DESIGNS
from core.host import Host
from core.keys import Own, key, own_of, record, resolved
from core.profile import OBJCG_VERSIONS, KernelProfile
from core.workload import Workload


def uncharges_batched(design: str, objcg_as_of: str, kernel: bool) -> bool:
    """Whether uncharges go to the stock of pages, in a design as of an objcg version, on a kernel that does or not."""
    version = DESIGNS[design].objcg_version if design in DESIGNS else None
    return version(objcg_as_of).refill_to_stock if version and objcg_as_of in OBJCG_VERSIONS else kernel


def accounts_swap(kernel: bool, cgroup_version: int) -> bool:
    """Whether memory+swap is a counter of its own, on a kernel that has it or not."""
    return kernel and cgroup_version == 1


MOST_ALLOCATIONS = 1 << 28  # of a window, on all CPUs: some GiB of events
MOST_COMMON = 5_000_000  # common objects of a host
MOST_LEFT = 20_000_000  # objects and tasks that memcgs leave behind
# fields whose value is a fact of a kernel
_OF_KERNEL = ("design", "batch", "uncharge_batched", "objcg_as_of", "folio_reparenting")


@record()
class Point:
    """A scenario seen by one design with one setting of every axis.

    `design`, `cpus`, `batch` and the cross-settings decide what a kernel does with the scenario's events; they never
    change the events. `workload`, `churn_hz`, `seed` and `replicate` are the scenario (`core.scenario`).
    """

    design: str = key("charge", "price", "label", own="kernel.design", named=True)  # a name in core.designs.DESIGNS
    cpus: int = key("machine", "lifecycle", "price", "label", named=True)  # online simulated CPUs, not cluster cores
    possible_cpus: int = key("machine", "lifecycle", own="cpus")  # CPUs with per-CPU memory; null: the online ones
    nodes: int = key("machine", "lifecycle", "price")  # NUMA nodes
    # pages a CPU's stock takes at once: MEMCG_CHARGE_BATCH
    batch: int = key("batch", own="kernel.charge_batch_pages", named=True)
    stat_batch: int = key("batch", own="batch")  # pages that a per-CPU statistic may drift; null: the charge batch
    stock: bool = key("charge")  # per-CPU stock in use; false: every charge walks the counters (a bound)
    # uncharges go to the stock (5.11+); null: as in the objcg version, or where pages are charged, as in the kernel
    uncharge_batched: bool = key(
        "charge", own=Own(("design", "objcg_as_of", "kernel.uncharge_batched"), uncharges_batched)
    )
    # levels below the root; a child of the root has depth 1 and walks 2 counters; null: the workload's
    depth: int = key("charge", "price", own="workload.depth")
    # 1 or 2; null: 2, which every kernel has
    cgroup_version: int = key("charge", "price", "lifecycle", own=Own((), lambda: 2))
    # cgroup v1 only: the memsw counter is charged too; null: as the kernel is built
    swap_accounting: bool = key(
        "charge", "price", "lifecycle", own=Own(("kernel.memsw", "cgroup_version"), accounts_swap)
    )
    protected_levels: int = key("charge", "price")  # levels of the path with memory.min or memory.low set
    # page cache is reparented at offline, so it pins no memcg; null: as in the kernel
    folio_reparenting: bool = key("lifecycle", own="kernel.folio_reparenting")
    allocator: str = key("machine", "lifecycle")  # slub or slab
    page_list_lock: str = key("price")  # page_list only: memcg, memcg_node or kmem_cache
    # objcg only: the version of its code, 5.9, 5.11, 5.15, 6.1, 6.7, 6.16 or 7.1; null: the kernel's
    objcg_as_of: str = key("charge", own="kernel.objcg_as_of")
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

    @property
    def counterfactual(self) -> bool:
        """Whether the point's kernel never did so: see `never_had`."""
        return bool(never_had(self))

    def __post_init__(self) -> None:
        point = resolved(self)  # rules hold for what is simulated
        one_of("design", point.design, DESIGNS)
        within("cpus", point.cpus, 1, 8192, "8192 is the most that x86 Linux is built for")
        within("nodes", point.nodes, 1, 1024)
        within("possible_cpus", point.possible_cpus, point.cpus, 8192, "every online CPU is a possible one")
        within("batch", point.batch, 1, 1 << 20, "use stock=false to model no batching")
        within("stat_batch", point.stat_batch, 1, 1 << 20)
        within("depth", point.depth, 1, 64)
        one_of("cgroup_version", point.cgroup_version, (1, 2))
        within("protected_levels", point.protected_levels, 0, point.depth, "depth says how many levels there are")
        one_of("allocator", point.allocator, ("slub", "slab"))
        if point.allocator == "slab":
            within("nodes", point.nodes, 1, 1, "allocator=slab is modelled without alien caches, on one node")
        one_of("page_list_lock", point.page_list_lock, ("memcg", "memcg_node", "kmem_cache"))
        one_of("objcg_as_of", point.objcg_as_of, OBJCG_VERSIONS)
        within("churn_hz", point.churn_hz, 0, 10_000)
        within("duration_s", point.duration_s, 1, 1e9, "1e9 s are 32 years")
        within("seed", point.seed, 0, (1 << 63) - 1)
        _check_cost(point)
        for inside, names in (("caches", point.workload.caches), ("charge.caches", point.workload.charge.caches)):
            if not names.keys() <= point.kernel.caches.keys():
                unknown = min(names.keys() - point.kernel.caches.keys())
                way_out = f"add it to kernel.caches of {point.kernel.name}"
                one_of(f"workload.{inside}", unknown, point.kernel.caches, way_out)


def _check_cost(point: Point) -> None:
    """Raise ValueError, with the figure, where a point would need more memory than a worker may take."""
    load, mix = point.workload, point.workload.charge
    memcgs = max(mix.memcgs_per_cpu * point.cpus, 1)
    for name, each, times in (
        ("allocations_per_cpu", mix.allocations_per_cpu, point.cpus),
        ("burst_allocations", mix.burst_allocations, memcgs),  # before the window, each memcg fills its slabs
        ("memcgs_per_cpu", mix.memcgs_per_cpu, point.cpus),
    ):
        if not each * times <= MOST_ALLOCATIONS:
            raise ValueError(
                f"workload.charge.{name} must make a window of at most {MOST_ALLOCATIONS:,} allocations "
                f"(got {each}, which on {point.cpus} CPUs makes {each * times:.3g}); lower it, or cpus"
            )
    common = sum(left.common for left in load.leftovers.values())
    at_most(
        "workload.leftovers.*.common", common, MOST_COMMON, "all common objects are followed one by one: have fewer"
    )
    each = sum(left.private + left.chance for left in load.leftovers.values()) + load.stray_tasks
    left = each * point.churn_hz * point.duration_s
    if MOST_LEFT < left < math.inf:  # what is not finite is refused as such, by its key
        raise ValueError(
            f"workload.leftovers must leave at most {MOST_LEFT:,} objects and tasks behind (got {each:.6g} a memcg, "
            f"{left:.3g} in all); lower their means, workload.stray_tasks, churn_hz or duration_s"
        )


def never_had(point: Point) -> dict[str, tuple[Any, Any]]:
    """Return what of a point its kernel never did: field -> the point's value and the kernel's own.

    `unaccounted` is no such thing, as cgroup.memory=nokmem has it on every kernel, and an objcg version is one only
    where objects are charged by bytes.
    """
    here = resolved(point)
    differ = {name: own_of(here, name) for name in _OF_KERNEL if getattr(here, name) != own_of(here, name)}
    if here.design == "unaccounted":
        differ.pop("design", None)
    if not DESIGNS[here.design].objcg_version:
        differ.pop("objcg_as_of", None)
    if here.cgroup_version == 1 and not here.kernel.cgroup_v1:
        differ["cgroup_version"] = 2
    if not here.stock:
        differ["stock"] = True
    return {name: (getattr(here, name), own) for name, own in differ.items()}
