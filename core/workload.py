"""What the cgroups of a host do: how long they live, what they allocate, and what they leave behind.

Values live in `conf/workload/`, each with its source. "Mean" is the mean of a Poisson number unless said otherwise.
"""

from __future__ import annotations

from core.checks import SHARE, above, among, at_least, between, keep_rules, one_of, within
from core.keys import fields_of, key, record

HOLDS = ("files", "directories", "pipes", "sockets")
PINS = ("none", "one", "in_turn")
SPAN = between(0, 1e9, "1e9 s are 32 years")
MEAN = between(0, 1e9, "more than any host has; what a point comes to in all is bounded too")
COUNT = between(0, 1_000_000_000, "more than any host has")
PASSES = between(0, 1e9, "times that the page cache is read through")
MEMORY = between(0, 1 << 32, "2^32 MiB are the 52 bits of an x86 address")
SOME_MEMORY = between(1, MEMORY.high, MEMORY.why)
RATE = between(0, 1e9, "no machine reads a PiB per second")
ALLOCATIONS = between(1, 1e12, "more than any window has; what it comes to in all is bounded too")
PACE = between(0, 1e6, "1e6 us are a second a file")
FILES_MADE = between(0, 1_000_000, "the program makes them one by one")
SOME_FILES_MADE = between(1, FILES_MADE.high, FILES_MADE.why)
UNIT_MEMCGS = between(1, 1000, "a pod of a thousand containers", unit="memcgs")
MEMCG_IDS = between(0, 65535, "the kernel has no more ids of memcgs", unit="memcgs")
LEVELS = between(1, 64, "deeper than systemd and Kubernetes together", unit="levels")
MOUNTS = between(0, 1_000_000, "ten times what fs.mount-max allows unless raised")
PAGE_CACHE = "page_cache"  # the key of `Workload.leftovers` that is no kmem_cache: files, each with its cached pages


@record("scenario")
class Leftover:
    """What memcgs leave behind in one kmem_cache, or in the page cache (read 'cached files' for objects there).

    A *private* object outlives its memcg until memory pressure reclaims it (the dentry of a file that only this memcg
    opened); `private` is a mean, `chance` the share of memcgs that leave one more. A *common* object is needed by many
    memcgs (a path, a library): whoever misses it allocates it and is charged; later memcgs reuse it for as long as it
    is cached. Turnovers are those of the page cache.
    """

    private: float = key(rule=MEAN)  # mean number of private objects left behind per memcg
    chance: float = key("scenario", default=0.0, neutral=0.0, rule=SHARE)  # that a memcg leaves one, beside those
    private_turnovers: float = key(rule=PASSES)  # mean age at which they are reclaimed
    common: int = key(rule=COUNT)  # host-wide number of common objects
    common_touch: float = key(rule=SHARE)  # chance that a memcg needs one given common object
    common_turnovers: float = key(rule=PASSES)  # mean age at which a common object is reclaimed


@record("scenario")
class Pin:
    """What holds a memcg after it is gone, for a time of its own: memory pressure does not end it."""

    chance: float = key(rule=SHARE)  # that a memcg leaves one
    hold_s: float = key(rule=SPAN)  # mean time from offline until it lets go


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

    def none(self) -> bool:
        """Whether no memcg leaves any."""
        return not any(pin.chance for pin in vars(self).values())


PIN_KINDS = tuple(fields_of(Pins))


@record("scenario")
class Pressure:
    """Where reclaim gets its speed: the page cache is what the rest leaves over, and reading files turns it over."""

    memory_mib: float = key(rule=SOME_MEMORY)  # memory of the host
    in_use_mib: float = key(rule=MEMORY)  # anonymous and other memory that neither grows nor shrinks with cgroups
    refill_mib_s: float = key(rule=RATE)  # page cache read in, and so reclaimed, per second

    def __post_init__(self) -> None:
        way_out = "leave some for cgroups and page cache, or lower workload.pressure.in_use_mib"
        above("workload.pressure.memory_mib", self.memory_mib, self.in_use_mib, "in_use_mib", way_out)


@record("scenario")
class TmpfsProgram:
    """The reference program: each cgroup warms its kmem_caches, creates files on tmpfs and unlinks all but a few.

    Real kernels run it as well (sweep/real). Its second part counts calls of one process in one cgroup.
    """

    cgroups: int = key(rule=SOME_FILES_MADE)  # made and removed one after the other
    files: int = key(rule=FILES_MADE)  # created by each
    keep: int = key(rule=FILES_MADE)  # of these, not unlinked; all, where it is more
    # pause between the first file, which makes the kernel create the caches, and the others
    warm_ms: int = key(rule=between(0, 1_000_000, "a quarter of an hour"))
    hold: str = key(rule=among(HOLDS))  # what is created and kept: files, directories, pipes or sockets
    # written into each file; its page cache pins the memcg
    data_kib: int = key(rule=between(0, 1 << 20, "2^20 KiB are a GiB a file"))
    # where tasks run: none (as the scheduler likes), one (CPU 0), in_turn (parent on CPU 0, children in turn)
    pin: str = key(rule=among(PINS))
    # removed cgroups not freed yet, in the mean; null: those of four grace periods
    in_flight: float | None = key(rule=MEAN)
    # created, then unlinked, by the process whose calls are counted
    counted_files: int = key(rule=SOME_FILES_MADE)
    counted_pipes: int = key(rule=SOME_FILES_MADE)  # opened and closed by it
    # the model's pace of that process; null: that of the machine the reference was counted on
    file_us: float | None = key(rule=PACE)
    pipe_us: float | None = key(rule=PACE)  # of its pipes

    def __post_init__(self) -> None:
        if self.hold != "files":
            within("workload.tmpfs.data_kib", self.data_kib, 0, 0, "only files hold data: workload.tmpfs.hold")


@record("scenario")
class ChargeMix:
    """The window of events that the charge path replays: who runs where, what is allocated, who frees it.

    Load is per CPU, so that a window grows with the machine. Time is counted in allocations of a CPU's share. The
    window lasts `allocations_per_cpu / allocations_hz_per_cpu` seconds, in which `churn_hz` times as many memcgs go
    offline as it has seconds and as many come online in their place.
    """

    memcgs_per_cpu: float = key(rule=MEAN)  # online and running at any time, by CPU; 0: one memcg for all CPUs
    # accounted object allocations in the window, by CPU
    allocations_per_cpu: int = key(rule=between(1, 1 << 40, ALLOCATIONS.why))
    # accounted object allocations per second, by CPU
    allocations_hz_per_cpu: float = key(rule=between(1, 1e12, "an allocation takes some ns"))
    quantum_allocations: float = key(rule=ALLOCATIONS)  # mean number of allocations per scheduler quantum
    # CPUs that a memcg's tasks keep to, in each CPU's share of the load
    home_cpus: int = key(rule=between(1, 8192, "8192 is the most that x86 Linux is built for"))
    migrates: float = key(rule=SHARE)  # chance that a quantum runs on another of these than the memcg's last one
    short_lived: float = key(rule=SHARE)  # share of objects freed within about a quantum; the others are kept
    # a memcg's allocations between two times at which it frees what it kept
    burst_allocations: float = key(rule=ALLOCATIONS)
    # share of the kept objects that stay until reclaim, up to two bursts, whoever is gone by then
    outlives: float = key(rule=SHARE)
    remote_frees: float = key(rule=SHARE)  # share of frees on another CPU: RCU callbacks, other tasks
    # kmem_cache -> share of the allocations
    caches: dict[str, float] = key(rule=between(0, 1e9, "shares are of their sum"))

    def __post_init__(self) -> None:
        at_least("workload.charge.caches", len(self.caches), 1, "name at least one kmem_cache")


@record("scenario")
class Workload:
    """One kind of host. Units come online as a Poisson stream at `Point.churn_hz`, besides the resident memcgs.

    A unit is a service or a pod: one memcg, or several that come and go together, of which one does all the work.
    Where not said otherwise, 'memcg' below is that one.
    """

    name: str  # column `workload`
    # memcgs of a unit; 3 for a pod of one container: its slice, the pause container's scope, the container's
    memcgs_per_unit: int = key("lifecycle", rule=UNIT_MEMCGS)
    # of these, how many a leftover of the unit's pins: a memcg holds its parent, so a pod's container holds its slice
    levels_per_unit: int = key("lifecycle", rule=UNIT_MEMCGS)
    depth: int = key("own", rule=LEVELS)  # levels below the root: 1 for a child of the root
    # online from start to end
    resident_memcgs: int = key("scenario", "weight", rule=MEMCG_IDS)
    # objects of a resident memcg, in those of one that comes and goes
    resident_size: float = key("scenario", "weight", rule=MEAN)
    lifetime_s: float = key(rule=between(1e-9, 1e9, SPAN.why))  # mean time from online to offline
    # shape of the lognormal lifetime; 0: every memcg lives as long
    lifetime_sigma: float = key(rule=between(0, 10, "e^10 between the median and one sigma"))
    # times that a memcg's tasks move to another CPU
    cpu_moves: int = key("scenario", "weight", rule=between(0, 1_000_000, "each is an event of the simulation"))
    # until a memcg's own kmem_caches exist; earlier objects go to the root cache, uncharged
    cache_creation_s: float = key(rule=SPAN)
    # kmem_cache -> objects that a memcg allocates from it
    caches: dict[str, int] = key("scenario", "weight", rule=COUNT)
    # share of these in use at a time; SLUB keeps the slabs of the others for the memcg
    in_use: float = key("scenario", "weight", rule=SHARE)
    leftovers: dict[str, Leftover] = key("scenario", "weight")  # kmem_cache of `caches`, or PAGE_CACHE
    pins: Pins = key("scenario", neutral=Pins.none)
    # mean number of tasks that leave the memcg and outlive it; their stacks pin it before 5.13
    stray_tasks: float = key(rule=MEAN)
    stray_task_s: float = key(rule=SPAN)  # mean life of such a task after the memcg is gone
    # memory.max of one memcg (reuse_dead: what inherited bytes are held against)
    memory_limit_mib: float = key(rule=SOME_MEMORY)
    working_set_mib: float = key(rule=MEMORY)  # of one memcg, besides what it inherits
    file_kib: float = key(rule=between(0, 1 << 42, MEMORY.why))  # page cache of one file that is left behind
    # superblocks of the host, each with two list_lrus that know memcgs
    mounts: int = key("lifecycle", "price", rule=MOUNTS)
    mounts_used: int = key("lifecycle", rule=MOUNTS)  # of these, how many have inodes or dentries of one given memcg
    # memcgs that were online at once before the run: before 5.18 a list_lru has room for as many ids, ever after
    peak_memcg_ids: int = key("lifecycle", rule=MEMCG_IDS)
    pressure: Pressure
    charge: ChargeMix
    tmpfs: TmpfsProgram | None  # replayed exactly by core.validation.tmpfs

    def __post_init__(self) -> None:
        keep_rules(Workload, self, "workload.")
        way_out = "a unit has no more levels than memcgs"
        within("workload.levels_per_unit", self.levels_per_unit, 1, self.memcgs_per_unit, way_out)
        within("workload.mounts_used", self.mounts_used, 0, self.mounts, "a memcg uses no more mounts than there are")
        for name in self.leftovers:
            one_of("workload.leftovers", name, [*self.caches, PAGE_CACHE], "add the cache to workload.caches")
