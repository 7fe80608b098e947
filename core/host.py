"""A host: the prices of one machine, each in nanoseconds, and the places its CPUs can have.

A table is measured on the node by `sweep.calibrate.job`, or a preset of `conf/host/` which says for every value where
it comes from. `grade` sums up how far to trust it: `measured` here, A (curve and latencies published), B (latencies
published, the rest taken over from a like part), C (weak).
"""

from __future__ import annotations

from core.checks import at_least, one_of, within
from core.keys import record

LINE_KINDS = ("near", "far", "llsc")
MOST_TIME = 1e9  # of any price, in its own unit
GRADES = ("measured", "A", "B", "C")


@record("price")
class Transfer:
    """One-way time for a modified line to go from one core to another, ns, by where the two cores are.

    null: the host has no such pair, or nobody measured it; the next larger class is used then, else the next smaller.
    A null `socket_far_home` says that the home does not matter within a socket: the curve of an 8-socket Xeon is met
    that way, while EPYC asks the home (both in `conf/figures/published_contention.csv` and the presets' sources).
    """

    smt: float | None  # two threads of one core
    l3: float | None  # two cores of one L3 group, where a socket has several
    socket: float | None  # two cores of one socket, the line homed there
    socket_far_home: float | None  # the same two, the line homed on another socket
    cross: float | None  # two sockets, near ones where there are several distances
    cross_far: float | None  # two sockets in different halves of the machine

    def __post_init__(self) -> None:
        for key, value in vars(self).items():
            if value is not None:
                within(f"host.transfer_ns.{key}", value, 0, MOST_TIME, "null is for a pair that a host does not have")


@record("price")
class Host:
    """Topology and price table of a machine.

    kind says who executes an atomic: `near`, the core that pulled the line in; `far`, the home node (Arm LSE), so the
    line never moves; `llsc`, a load-linked/store-conditional loop whose retries grow with the waiters.
    """

    name: str
    grade: str
    source: str
    sockets: int
    cores_per_socket: int
    cores_per_l3: int  # cores of one L3 group; the whole socket where it has one L3
    threads_per_core: int
    sockets_per_half: int  # sockets at `cross` distance of each other; others are at `cross_far`
    kind: str
    t_plain_ns: float  # this_cpu read-modify-write, such as one get of a percpu_ref: a line nobody else writes
    t_local_ns: float  # atomic read-modify-write of a line already owned
    transfer_ns: Transfer
    hold_ns: float  # h: how long an owner keeps a line while it has more operations ready
    far_weight: float  # phi: weight of a hand-off to any but the nearest sharers; 1 is random order
    walk_overlap: float  # share of a transfer that hides behind the one before it in the same walk
    far_service_ns: float  # kind far: time of one atomic at the home node
    llsc_base_ns: float  # kind llsc: s0 of S(N) = s0 + s1 (N - 1)
    llsc_retry_ns: float  # kind llsc: s1
    percpu_call_ns: float  # what the kernel does around a this_cpu operation: preemption or interrupts off, calls
    atomic_call_ns: float  # what it does around an atomic: walking, comparing with limits, calls
    byte_stock_ns: float  # one operation on a CPU's stock of bytes, references and statistics aside
    lock_ns: float  # uncontended spin_lock and unlock
    list_node_ns: float  # list_add or list_del inside the lock
    page_think_ns: float  # the caller's own time between two slab-page charges
    object_think_ns: float  # the caller's own time between two accounted objects
    grace_period_ms: float  # one RCU grace period
    shrink_ms_per_memcg: float  # __kmem_cache_shrink of one memcg's caches, in one workqueue under slab_mutex
    ipi_ns: float  # one CPU interrupted and waited for
    work_ns: float  # one work queued on a CPU and run there
    cpu_check_ns: float  # one look at another CPU's stock or slab
    kernfs_node_ns: float  # one kernfs node removed and freed
    percpu_area_ns: float  # free_percpu() of one area

    def __post_init__(self) -> None:
        one_of("host.kind", self.kind, LINE_KINDS)
        one_of("host.grade", self.grade, GRADES)
        for key in ("sockets", "cores_per_socket", "cores_per_l3", "threads_per_core", "sockets_per_half"):
            within(f"host.{key}", getattr(self, key), 1, 8192, "8192 is the most that x86 Linux is built for")
        for key, value in vars(self).items():
            if key.endswith(("_ns", "_ms", "_ms_per_memcg")) and key != "transfer_ns":
                within(f"host.{key}", value, 0, MOST_TIME, "no price is longer than a second, nor below nothing")
        within("host.far_weight", self.far_weight, 0, 1, "1 is random order")
        within("host.walk_overlap", self.walk_overlap, 0, 1)
        if self.kind == "far":
            at_least(
                "host.far_service_ns",
                self.far_service_ns,
                self.t_local_ns,
                "a far atomic is no faster than a local one",
            )
        if self.kind == "llsc":
            at_least("host.llsc_base_ns", self.llsc_base_ns, self.t_plain_ns, "give s0 of S(N) = s0 + s1 (N - 1)")

    @property
    def cpus(self) -> int:
        """Hardware threads of the machine."""
        return self.sockets * self.cores_per_socket * self.threads_per_core
