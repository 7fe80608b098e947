"""What the cgroups of a host do: how long they live, what they allocate, and what they leave behind.

Values live in `conf/workload/`, each with its source. "Mean" is the mean of a Poisson number unless said otherwise.
"""

from __future__ import annotations

from core.checks import at_least, below, one_of, within
from core.keys import fields_of, key, record

HOLDS = ("files", "directories", "pipes", "sockets")
PINS = ("none", "one", "in_turn")
PAGE_CACHE = "page_cache"  # the key of `Workload.leftovers` that is no kmem_cache: files, each with its cached pages


@record("scenario")
class Leftover:
    """What memcgs leave behind in one kmem_cache, or in the page cache (read 'cached files' for objects there).

    A *private* object outlives its memcg until memory pressure reclaims it (the dentry of a file that only this memcg
    opened); `private` is a mean, `chance` the share of memcgs that leave one more. A *common* object is needed by many
    memcgs (a path, a library): whoever misses it allocates it and is charged; later memcgs reuse it for as long as it
    is cached. Turnovers are those of the page cache.
    """

    private: float  # mean number of private objects left behind per memcg
    chance: float = key("scenario", default=0.0, neutral=0.0)  # that a memcg leaves one, beside those
    private_turnovers: float  # mean age at which they are reclaimed
    common: int  # host-wide number of common objects
    common_touch: float  # chance that a memcg needs one given common object
    common_turnovers: float  # mean age at which a common object is reclaimed

    def check(self, path: str) -> None:
        """Raise ValueError unless the values make sense; `path` is the config path of this leftover."""
        at_least(f"{path}.private", self.private, 0)
        within(f"{path}.chance", self.chance, 0, 1)
        at_least(f"{path}.private_turnovers", self.private_turnovers, 0)
        at_least(f"{path}.common", self.common, 0)
        within(f"{path}.common_touch", self.common_touch, 0, 1)
        at_least(f"{path}.common_turnovers", self.common_turnovers, 0)


@record("scenario")
class Pin:
    """What holds a memcg after it is gone, for a time of its own: memory pressure does not end it."""

    chance: float  # that a memcg leaves one
    hold_s: float  # mean time from offline until it lets go

    def check(self, path: str) -> None:
        """Raise ValueError unless the values make sense; `path` is the config path of this pin."""
        within(f"{path}.chance", self.chance, 0, 1)
        at_least(f"{path}.hold_s", self.hold_s, 0)


@record("scenario")
class Pins:
    """What else pins memcgs that are gone, beside leftovers that reclaim ends."""

    stack: Pin  # a task that left the memcg; its kernel stack's pages hold it before 5.13
    # one that somebody else still has: cgroup v2 only, under every design (mem_cgroup_sk_alloc(); v1: tcp accounting)
    socket: Pin
    # an entry of a page swapped out: it holds the memcg's id, which holds the memcg (mem_cgroup_id_get_many())
    swap: Pin
    mlock: Pin  # a locked page of a file; not under folio reparenting
    tmpfs: Pin  # a page of a shared file in memory; not under folio reparenting
    cgwb: Pin  # a bdi_writeback of this memcg that inodes are still attached to: cgroup v2 before 5.14

    def __post_init__(self) -> None:
        for name, pin in vars(self).items():
            pin.check(f"workload.pins.{name}")

    def none(self) -> bool:
        """Whether no memcg leaves any."""
        return not any(pin.chance for pin in vars(self).values())


PIN_KINDS = tuple(fields_of(Pins))


@record("scenario")
class Pressure:
    """Where reclaim gets its speed: the page cache is what the rest leaves over, and reading files turns it over."""

    memory_mib: float  # memory of the host
    in_use_mib: float  # anonymous and other memory that neither grows nor shrinks with cgroups
    refill_mib_s: float  # page cache read in, and so reclaimed, per second

    def __post_init__(self) -> None:
        at_least("workload.pressure.memory_mib", self.memory_mib, 1)
        at_least("workload.pressure.in_use_mib", self.in_use_mib, 0)
        way_out = "leave some of workload.pressure.memory_mib for cgroups and page cache"
        below("workload.pressure.in_use_mib", self.in_use_mib, self.memory_mib, way_out)
        at_least("workload.pressure.refill_mib_s", self.refill_mib_s, 0)


@record("scenario")
class TmpfsProgram:
    """The reference program: each cgroup warms its kmem_caches, creates files on tmpfs and unlinks all but a few.

    Real kernels run it as well (sweep/real). Its second part counts calls of one process in one cgroup.
    """

    cgroups: int  # made and removed one after the other
    files: int  # created by each
    keep: int  # of these, not unlinked; all, where it is more
    warm_ms: int  # pause between the first file, which makes the kernel create the caches, and the others
    hold: str  # what is created and kept: files, directories, pipes or sockets
    data_kib: int  # written into each file; its page cache pins the memcg
    pin: str  # where tasks run: none (as the scheduler likes), one (CPU 0), in_turn (parent on CPU 0, children in turn)
    in_flight: float | None  # removed cgroups not freed yet, in the mean; null: those of four grace periods
    counted_files: int  # created, then unlinked, by the process whose calls are counted
    counted_pipes: int  # opened and closed by it
    file_us: float | None  # the model's pace of that process; null: that of the machine the reference was counted on
    pipe_us: float | None

    def __post_init__(self) -> None:
        at_least("workload.tmpfs.cgroups", self.cgroups, 1)
        at_least("workload.tmpfs.files", self.files, 0)
        at_least("workload.tmpfs.keep", self.keep, 0)
        at_least("workload.tmpfs.warm_ms", self.warm_ms, 0)
        one_of("workload.tmpfs.hold", self.hold, HOLDS)
        within("workload.tmpfs.data_kib", self.data_kib, 0, 1 << 20)
        if self.hold != "files":
            within("workload.tmpfs.data_kib", self.data_kib, 0, 0, "only files hold data: workload.tmpfs.hold")
        one_of("workload.tmpfs.pin", self.pin, PINS)
        for name in ("in_flight", "file_us", "pipe_us"):
            if (value := getattr(self, name)) is not None:
                at_least(f"workload.tmpfs.{name}", value, 0)
        at_least("workload.tmpfs.counted_files", self.counted_files, 1)
        at_least("workload.tmpfs.counted_pipes", self.counted_pipes, 1)


@record("scenario")
class ChargeMix:
    """The window of events that the charge path replays: who runs where, what is allocated, who frees it.

    Load is per CPU, so that a window grows with the machine. Time is counted in allocations of a CPU's share. The
    window lasts `allocations_per_cpu / allocations_hz_per_cpu` seconds, in which `churn_hz` times as many memcgs go
    offline as it has seconds and as many come online in their place.
    """

    memcgs_per_cpu: float  # online and running at any time, by CPU; 0: one memcg for all CPUs
    allocations_per_cpu: int  # accounted object allocations in the window, by CPU
    allocations_hz_per_cpu: float  # accounted object allocations per second, by CPU
    quantum_allocations: float  # mean number of allocations per scheduler quantum
    home_cpus: int  # CPUs that a memcg's tasks keep to, in each CPU's share of the load
    migrates: float  # chance that a quantum runs on another of these than the memcg's last one
    short_lived: float  # share of objects freed within about a quantum; the others are kept
    burst_allocations: float  # a memcg's allocations between two times at which it frees what it kept
    outlives: float  # share of the kept objects that stay until reclaim, up to two bursts, whoever is gone by then
    remote_frees: float  # share of frees on another CPU: RCU callbacks, other tasks
    caches: dict[str, float]  # kmem_cache -> share of the allocations

    def __post_init__(self) -> None:
        at_least("workload.charge.memcgs_per_cpu", self.memcgs_per_cpu, 0)
        at_least("workload.charge.allocations_per_cpu", self.allocations_per_cpu, 1)
        at_least("workload.charge.allocations_hz_per_cpu", self.allocations_hz_per_cpu, 1)
        at_least("workload.charge.home_cpus", self.home_cpus, 1)
        at_least("workload.charge.quantum_allocations", self.quantum_allocations, 1)
        at_least("workload.charge.burst_allocations", self.burst_allocations, 1)
        for name in ("migrates", "short_lived", "outlives", "remote_frees"):
            within(f"workload.charge.{name}", getattr(self, name), 0, 1)
        at_least("workload.charge.caches", len(self.caches), 1, "name at least one kmem_cache")
        for name, share in self.caches.items():
            at_least(f"workload.charge.caches.{name}", share, 0)


@record("scenario")
class Workload:
    """One kind of host. Units come online as a Poisson stream at `Point.churn_hz`, besides the resident memcgs.

    A unit is a service or a pod: one memcg, or several that come and go together, of which one does all the work.
    Where not said otherwise, 'memcg' below is that one.
    """

    name: str  # column `workload`
    # memcgs of a unit; 3 for a pod of one container: its slice, the pause container's scope, the container's
    memcgs_per_unit: int = key("lifecycle")
    # of these, how many a leftover of the unit's pins: a memcg holds its parent, so a pod's container holds its slice
    levels_per_unit: int = key("lifecycle")
    depth: int = key("own")  # levels below the root: 1 for a child of the root
    resident_memcgs: int  # online from start to end
    resident_size: float  # objects of a resident memcg, in those of one that comes and goes
    lifetime_s: float  # mean
    lifetime_sigma: float  # shape of the lognormal lifetime; 0: every memcg lives as long
    cpu_moves: int  # times that a memcg's tasks move to another CPU
    cache_creation_s: float  # until a memcg's own kmem_caches exist; earlier objects go to the root cache, uncharged
    caches: dict[str, int]  # kmem_cache -> objects that a memcg allocates from it
    in_use: float  # share of these in use at a time; SLUB keeps the slabs of the others for the memcg
    leftovers: dict[str, Leftover]  # kmem_cache of `caches`, or PAGE_CACHE
    pins: Pins = key("scenario", neutral=Pins.none)
    stray_tasks: float  # mean number of tasks that leave the memcg and outlive it; their stacks pin it before 5.13
    stray_task_s: float  # mean life of such a task after the memcg is gone
    memory_limit_mib: float  # memory.max of one memcg (reuse_dead: what inherited bytes are held against)
    working_set_mib: float  # of one memcg, besides what it inherits
    file_kib: float  # page cache of one file that is left behind
    mounts: int = key("lifecycle", "price")  # superblocks of the host, each with two list_lrus that know memcgs
    mounts_used: int = key("lifecycle")  # of these, how many have inodes or dentries of one given memcg
    # memcgs that were online at once before the run: before 5.18 a list_lru has room for as many ids, ever after
    peak_memcg_ids: int = key("lifecycle")
    pressure: Pressure
    charge: ChargeMix
    tmpfs: TmpfsProgram | None  # replayed exactly by core.validation.tmpfs

    def __post_init__(self) -> None:
        within("workload.memcgs_per_unit", self.memcgs_per_unit, 1, 1000)
        way_out = "a unit has no more levels than memcgs"
        within("workload.levels_per_unit", self.levels_per_unit, 1, self.memcgs_per_unit, way_out)
        within("workload.depth", self.depth, 1, 64)
        at_least("workload.resident_memcgs", self.resident_memcgs, 0)
        at_least("workload.resident_size", self.resident_size, 0)
        at_least("workload.lifetime_s", self.lifetime_s, 1e-9)
        at_least("workload.lifetime_sigma", self.lifetime_sigma, 0)
        at_least("workload.cpu_moves", self.cpu_moves, 0)
        at_least("workload.cache_creation_s", self.cache_creation_s, 0)
        at_least("workload.stray_tasks", self.stray_tasks, 0)
        at_least("workload.stray_task_s", self.stray_task_s, 0)
        at_least("workload.memory_limit_mib", self.memory_limit_mib, 1)
        at_least("workload.working_set_mib", self.working_set_mib, 0)
        at_least("workload.file_kib", self.file_kib, 0)
        within("workload.mounts", self.mounts, 0, 1_000_000)
        within("workload.mounts_used", self.mounts_used, 0, self.mounts, "a memcg uses no more mounts than there are")
        within("workload.peak_memcg_ids", self.peak_memcg_ids, 0, 65535, "the kernel has no more ids")
        within("workload.in_use", self.in_use, 0, 1)
        for name, objects in self.caches.items():
            at_least(f"workload.caches.{name}", objects, 0)
        for name, leftover in self.leftovers.items():
            one_of("workload.leftovers", name, [*self.caches, PAGE_CACHE], "add the cache to workload.caches")
            leftover.check(f"workload.leftovers.{name}")
