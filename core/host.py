"""A host: the prices of one machine, each in nanoseconds, and the places its CPUs can have.

A table is measured on the node by `sweep.calibrate.job`, or a preset of `conf/host/` which says for every value where
it comes from. `grade` sums up how far to trust it: `measured` here, A (curve and latencies published), B (latencies
published, the rest taken over from a like part), C (weak).
"""

from __future__ import annotations

from core.checks import SHARE, among, at_least, between, keep_rules
from core.keys import key, record

LINE_KINDS = ("near", "far", "llsc")
TIME = between(0, 1e9, "no price is longer than a second, nor below nothing")
WAIT = between(0, 1e9, "1e9 ms are eleven days")
TRANSFER = between(0, 1e9, "null is for a pair that a host does not have", unit="ns")
PART = between(1, 8192, "8192 CPUs are the most that x86 Linux is built for")


@record("price")
class Transfer:
    """One-way time for a modified line to go from one core to another, ns, by where the two cores are.

    null: the host has no such pair, or nobody measured it; the next larger class is used then, else the next smaller.
    A null `socket_far_home` says that the home does not matter within a socket: the curve of an 8-socket Xeon is met
    that way, while EPYC asks the home (both in `conf/figures/published_contention.csv` and the presets' sources).
    """

    smt: float | None = key(rule=TRANSFER)  # two threads of one core
    l3: float | None = key(rule=TRANSFER)  # two cores of one L3 group, where a socket has several
    socket: float | None = key(rule=TRANSFER)  # two cores of one socket, the line homed there
    socket_far_home: float | None = key(rule=TRANSFER)  # the same two, the line homed on another socket
    cross: float | None = key(rule=TRANSFER)  # two sockets, near ones where there are several distances
    cross_far: float | None = key(rule=TRANSFER)  # two sockets in different halves of the machine


@record("price")
class Host:
    """Topology and price table of a machine.

    kind says who executes an atomic: `near`, the core that pulled the line in; `far`, the home node (Arm LSE), so the
    line never moves; `llsc`, a load-linked/store-conditional loop whose retries grow with the waiters.
    """

    name: str  # column `host`
    grade: str = key(rule=among(("measured", "A", "B", "C")))  # how far to trust the table
    source: str  # where the values come from, in words
    sockets: int = key(rule=PART)  # packages
    cores_per_socket: int = key(rule=PART)  # physical ones
    cores_per_l3: int = key(rule=PART)  # cores of one L3 group; the whole socket where it has one L3
    threads_per_core: int = key(rule=PART)  # 2 with SMT
    sockets_per_half: int = key(rule=PART)  # sockets at `cross` distance of each other; others are at `cross_far`
    kind: str = key(rule=among(LINE_KINDS))  # who executes an atomic: near, far or llsc
    # this_cpu read-modify-write, such as one get of a percpu_ref: a line nobody else writes
    t_plain_ns: float = key(rule=TIME)
    t_local_ns: float = key(rule=TIME)  # atomic read-modify-write of a line already owned
    transfer_ns: Transfer
    hold_ns: float = key(rule=TIME)  # h: how long an owner keeps a line while it has more operations ready
    far_weight: float = key(rule=SHARE)  # phi: weight of a hand-off to any but the nearest sharers; 1 is random order
    walk_overlap: float = key(rule=SHARE)  # share of a transfer that hides behind the one before it in the same walk
    far_service_ns: float = key(rule=TIME)  # kind far: time of one atomic at the home node
    llsc_base_ns: float = key(rule=TIME)  # kind llsc: s0 of S(N) = s0 + s1 (N - 1)
    llsc_retry_ns: float = key(rule=TIME)  # kind llsc: s1
    # what the kernel does around a this_cpu operation: preemption or interrupts off, calls
    percpu_call_ns: float = key(rule=TIME)
    atomic_call_ns: float = key(rule=TIME)  # what it does around an atomic: walking, comparing with limits, calls
    byte_stock_ns: float = key(rule=TIME)  # one operation on a CPU's stock of bytes, references and statistics aside
    lock_ns: float = key(rule=TIME)  # uncontended spin_lock and unlock
    list_node_ns: float = key(rule=TIME)  # list_add or list_del inside the lock
    page_think_ns: float = key(rule=TIME)  # the caller's own time between two slab-page charges
    object_think_ns: float = key(rule=TIME)  # the caller's own time between two accounted objects
    grace_period_ms: float = key(rule=WAIT)  # one RCU grace period
    # __kmem_cache_shrink of one memcg's caches, in one workqueue under slab_mutex
    shrink_ms_per_memcg: float = key(rule=WAIT)
    ipi_ns: float = key(rule=TIME)  # one CPU interrupted and waited for
    work_ns: float = key(rule=TIME)  # one work queued on a CPU and run there
    cpu_check_ns: float = key(rule=TIME)  # one look at another CPU's stock or slab
    kernfs_node_ns: float = key(rule=TIME)  # one kernfs node removed and freed
    percpu_area_ns: float = key(rule=TIME)  # free_percpu() of one area

    def __post_init__(self) -> None:
        keep_rules(Host, self, "host.")
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
