"""One point of a sweep, whole: what is simulated, on which kernel, under which load, at whose prices.

The typed shape of `conf/` is derived from these dataclasses (`sweep.config.schema`), so a key, its type and its rule
are written once. Defaults live in YAML only.
"""

from __future__ import annotations

import math
from typing import Any

from core.checks import among, at_least, at_most, between, keep_rules, one_of
from core.designs import DESIGNS
from core.host import Host
from core.keys import Own, key, own_of, record, resolved
from core.profile import BATCH, DESIGN, OBJCG_VERSION, OBJCG_VERSIONS, KernelProfile
from core.workload import LEVELS, SPAN, Workload


def uncharges_batched(design: str, objcg_as_of: str, kernel: bool) -> bool:
    """Whether uncharges go to the stock of pages, in a design as of an objcg version, on a kernel that does or not."""
    version = DESIGNS[design].objcg_version if design in DESIGNS else None
    return version(objcg_as_of).refill_to_stock if version and objcg_as_of in OBJCG_VERSIONS else kernel


def accounts_swap(kernel: bool, cgroup_version: int) -> bool:
    """Whether memory+swap is a counter of its own, on a kernel that has it or not."""
    return kernel and cgroup_version == 1


CPUS = between(1, 8192, "8192 is the most that x86 Linux is built for", unit="CPUs")
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

    # a name in core.designs.DESIGNS
    design: str = key("charge", "price", "label", own="kernel.design", named=True, rule=DESIGN)
    # online simulated CPUs, not cluster cores
    cpus: int = key("machine", "lifecycle", "price", "label", named=True, rule=CPUS)
    # CPUs with per-CPU memory; null: the online ones
    possible_cpus: int = key("machine", "lifecycle", own="cpus", rule=CPUS)
    # NUMA nodes
    nodes: int = key(
        "machine", "lifecycle", "price", rule=between(1, 1024, "MAX_NUMNODES of x86 and arm64", unit="nodes")
    )
    # pages a CPU's stock takes at once: MEMCG_CHARGE_BATCH
    batch: int = key("batch", own="kernel.charge_batch_pages", named=True, rule=BATCH)
    # pages that a per-CPU statistic may drift; null: the charge batch
    stat_batch: int = key("batch", own="batch", rule=BATCH)
    stock: bool = key("charge")  # per-CPU stock in use; false: every charge walks the counters (a bound)
    # uncharges go to the stock (5.11+); null: as in the objcg version, or where pages are charged, as in the kernel
    uncharge_batched: bool = key(
        "charge", own=Own(("design", "objcg_as_of", "kernel.uncharge_batched"), uncharges_batched)
    )
    # levels below the root; a child of the root has depth 1 and walks 2 counters; null: the workload's
    depth: int = key("charge", "price", own="workload.depth", rule=LEVELS)
    # null: 2, which every kernel has
    cgroup_version: int = key("charge", "price", "lifecycle", own=Own((), lambda: 2), rule=among((1, 2)))
    # cgroup v1 only: the memsw counter is charged too; null: as the kernel is built
    swap_accounting: bool = key(
        "charge", "price", "lifecycle", own=Own(("kernel.memsw", "cgroup_version"), accounts_swap)
    )
    # levels of the path with memory.min or memory.low set
    protected_levels: int = key("charge", "price", rule=between(0, 64, LEVELS.why, unit="levels"))
    # page cache is reparented at offline, so it pins no memcg; null: as in the kernel
    folio_reparenting: bool = key("lifecycle", own="kernel.folio_reparenting")
    allocator: str = key("machine", "lifecycle", rule=among(("slub", "slab")))  # of slabs
    # page_list only: what has one
    page_list_lock: str = key("price", rule=among(("memcg", "memcg_node", "kmem_cache")))
    # objcg only: the version of its code; null: the kernel's
    objcg_as_of: str = key("charge", own="kernel.objcg_as_of", rule=OBJCG_VERSION)
    # units that come online per simulated second
    churn_hz: float = key("scenario", named=True, rule=between(0, 10_000, "no host starts ten thousand units a second"))
    duration_s: float = key("scenario", rule=between(1, SPAN.high, SPAN.why))  # simulated time of the lifecycle
    # another seed, another realisation of the scenario
    seed: int = key("scenario", "realisation", rule=between(0, (1 << 63) - 1, "it is kept in 64 bits"))
    # counts the realisations under one seed, from 0
    replicate: int = key("scenario", "realisation", rule=between(0, (1 << 31) - 1))
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
        keep_rules(Point, point, "", inside=False)  # a kernel, a workload and a host keep their own
        way_out = f"it includes those online: raise it, or lower cpus={point.cpus}"
        at_least("possible_cpus", point.possible_cpus, point.cpus, way_out)
        at_most("protected_levels", point.protected_levels, point.depth, f"lower it, or raise depth={point.depth}")
        if point.allocator == "slab":
            at_most("nodes", point.nodes, 1, "allocator=slab is modelled without alien caches: use slub, or nodes=1")
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
