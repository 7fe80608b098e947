"""From counts to nanoseconds: what a window's operations cost on a host, alone and with every CPU charging.

Counts are facts, prices are opinions. `price` takes the operations that `core.charge` counted and a `Host`, and asks
what they cost when all CPUs of the point allocate as fast as they can: a closed network whose customers are the CPUs
and whose stations are the lines they share. Between two objects a CPU thinks `host.object_think_ns`, and
`host.page_think_ns` more per slab page. The design and the workload say which lines there are and who shares them.

The band, `*_low` to `*_high`, spans what published curves leave open: transfer times by 0.7 to 1.5, far hand-offs
weighted 0.02 (fitted to an 8-socket Xeon) to 1 (random order), and hand-overs that take a constant time to ones that
vary as an exponential does.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from core.columns import Column
from core.designs import DESIGNS
from core.host import Host
from core.lines import MAX_CPUS, Floats, Stations, in_order, queue, transfer_ns
from core.params import Point

COLUMNS: dict[str, Column] = {
    "ns_per_page_charge": Column(
        "f8", "ns", "page accounting per slab-page charge, uncharge included, all cpus charging"
    ),
    "ns_per_page_charge_low": Column("f8", "ns", "the same at the low end of the price band"),
    "ns_per_page_charge_high": Column("f8", "ns", "the same at the high end of the price band"),
    "ns_per_page_charge_uncontended": Column("f8", "ns", "the same with every line in the CPU's own cache"),
    "ns_per_object": Column("f8", "ns", "accounting per object allocated and freed, all cpus charging"),
    "ns_per_object_low": Column("f8", "ns", "the same at the low end of the price band"),
    "ns_per_object_high": Column("f8", "ns", "the same at the high end of the price band"),
    "ns_per_object_uncontended": Column("f8", "ns", "the same with every line in the CPU's own cache"),
    "knee_cpus": Column("f8", "1", "CPUs at which the busiest line saturates: N* = (Z + sum S) / max S; inf: never"),
    "saturated_charges_per_s": Column("f8", "1/s", "slab-page charges per second that the busiest line can take"),
    "host_prices": Column("str", "1", "price table used"),
    "host_grade": Column("str", "1", "how far to trust it: measured, A, B or C"),
    "host_exceeded": Column("bool", "1", "cpus is more than the host has: further sockets like its own are assumed"),
}


@dataclass(frozen=True)
class Band:
    """One reading of a price table: factor on transfer times, weight of far hand-offs, variability of a hand-over."""

    scale: float
    far_weight: float | None  # null: the host's own
    variability: float

    def weight(self, host: Host) -> float:
        return host.far_weight if self.far_weight is None else self.far_weight


CENTRE, LOW, HIGH = Band(1.0, None, 0.0), Band(0.7, 0.02, 0.0), Band(1.5, 1.0, 1.0)


@dataclass(frozen=True)
class Demand:
    """What one object (allocated and freed) asks of the lines; classes of equal lines in rows, points in columns.

    visits: `[classes, P]` to all lines of the class together. lines: `[classes, P]` how many there are. owners:
    `[classes, P]` memcgs, caches of memcgs, ... that the CPUs spread over; 1 where all share one. hand_overs:
    `[classes, 1]` lines that change hands in a visit. section_ns: `[classes, 1]` what the holder does besides.
    """

    visits: Floats
    lines: Floats
    owners: Floats
    hand_overs: Floats
    section_ns: Floats


COUNTS = ("page_charges", "counter_atomics", "refcount_atomics", "lock_acquisitions", "percpu_ops", "stock_hits")
PER_PAGE = [True, True, True, True]  # classes of `_demand` that a slab-page charge visits, not an object


def _demand(host: Host, points: Sequence[Point], per_object: Mapping[str, Floats]) -> Demand:
    """Spread the counted operations over lines.

    Classes: the memcg's own page_counters; those of its ancestors, which all memcgs share; references (of the memcg,
    or of each of its kmem_caches); the lock of a list of pages, which moves the list's neighbour along.
    """
    memcgs = np.array([point.workload.charge.memcgs for point in points], np.float64)
    caches = np.array([_equal_caches(point) for point in points])
    levels = np.array([point.depth + 1 for point in points], np.float64)
    counters = np.array([1 + (point.cgroup_version == 1) * (1 + point.swap_accounting) for point in points], np.float64)
    of_caches = np.array([DESIGNS[point.design].cache_ref != "none" for point in points])
    locks = np.array([_locks(point) for point in points])
    one = np.ones_like(memcgs)
    walks = per_object["counter_atomics"]
    referents = memcgs * np.where(of_caches, caches, 1.0)
    return Demand(
        visits=np.stack(
            [
                walks / levels,
                walks * (1 - 1 / levels),
                per_object["refcount_atomics"],
                per_object["lock_acquisitions"],
            ]
        ),
        lines=np.stack([memcgs * counters, (levels - 1) * counters, referents, locks]),
        owners=np.stack([memcgs, one, referents, locks]),
        hand_overs=np.array([[1.0], [1.0], [1.0], [2.0]]),
        section_ns=np.array([[0.0], [0.0], [0.0], [host.list_node_ns]]),
    )


def _equal_caches(point: Point) -> float:
    """How many equally used kmem_caches collide as often as those of the workload do: 1 / sum share^2."""
    shares = np.array(list(point.workload.charge.caches.values()), np.float64)
    return float(shares.sum() ** 2 / np.square(shares).sum())


def _locks(point: Point) -> float:
    memcgs = point.workload.charge.memcgs
    return float(
        {
            "memcg": memcgs,
            "memcg_node": memcgs * point.nodes,
            "kmem_cache": memcgs * _equal_caches(point),
        }[point.page_list_lock]
    )


def price(points: Sequence[Point], counts: Mapping[str, NDArray[np.generic]]) -> dict[str, NDArray[np.generic]]:
    """Return the columns of COLUMNS, each of shape `[len(points)]`, for what `core.charge.count(points)` counted."""
    size = len(points)
    of_host: dict[Host, list[int]] = {}
    for index, point in enumerate(points):
        of_host.setdefault(point.host, []).append(index)
    columns: dict[str, NDArray[np.generic]] = {
        "host_prices": np.array([point.host.name for point in points]),
        "host_grade": np.array([point.host.grade for point in points]),
        "host_exceeded": np.array([point.cpus > point.host.cpus for point in points]),
    }
    for host, indices in of_host.items():
        at = np.array(indices)
        here = {name: np.asarray(values, np.float64)[at] for name, values in counts.items() if name in COUNTS}
        for name, values in _price_on(host, [points[i] for i in indices], here).items():
            columns.setdefault(name, np.empty(size))[at] = values
    return {name: columns[name] for name in COLUMNS}


def _price_on(host: Host, points: Sequence[Point], counts: Mapping[str, Floats]) -> dict[str, Floats]:
    """Price points of one host; `counts` are of the window, columns of `[P]`."""
    cpus = np.array([point.cpus for point in points], np.int64)
    objects = np.array([point.workload.charge.allocations for point in points], np.float64)
    per_object = {name: values / objects for name, values in counts.items()}
    pages = per_object["page_charges"]
    demand = _demand(host, points, per_object)
    local = per_object["percpu_ops"] * host.t_plain_ns + per_object["stock_hits"] * host.irq_off_ns
    think = host.object_think_ns + pages * host.page_think_ns + local

    alone = _stations(host, np.ones_like(cpus), demand, CENTRE).idle_ns
    columns = _columns("_uncontended", demand, alone, local, pages)
    for suffix, band in (("", CENTRE), ("_low", LOW), ("_high", HIGH)):
        visit = queue(cpus, think, _stations(host, cpus, demand, band), band.variability)
        columns |= _columns(suffix, demand, visit, local, pages)
    busiest = _busiest_ns(_stations(host, cpus, demand, CENTRE), cpus)
    columns["knee_cpus"] = _knee(host, think, demand)
    columns["saturated_charges_per_s"] = np.divide(
        1e9 * pages, busiest, out=np.full_like(pages, np.inf), where=busiest > 0
    )
    return columns


def _columns(suffix: str, demand: Demand, visit_ns: Floats, local_ns: Floats, pages: Floats) -> dict[str, Floats]:
    time = demand.visits * visit_ns
    walked = in_order(time[PER_PAGE])
    return {
        f"ns_per_page_charge{suffix}": np.divide(walked, pages, out=np.zeros_like(pages), where=pages > 0),
        f"ns_per_object{suffix}": local_ns + in_order(time),
    }


def _stations(host: Host, cpus: NDArray[np.int64], demand: Demand, band: Band) -> Stations:
    """Price every class of lines for `cpus` CPUs `[P]`. Of k sharers, once in k times the last owner is oneself."""
    sharers = 1 + (cpus - 1) / demand.owners
    own = demand.section_ns + demand.hand_overs * host.t_local_ns / sharers
    others = demand.hand_overs * band.scale * (1 - 1 / sharers)
    retry = np.zeros_like(own)
    if host.kind == "near":
        idle = own + others * transfer_ns(host, 1.0)[cpus]
        service = np.minimum(idle, own + others * transfer_ns(host, band.weight(host))[cpus])
    elif host.kind == "far":
        idle = service = own + others * host.far_service_ns
    else:
        idle = service = own + others * host.llsc_base_ns
        retry = others * host.llsc_retry_ns
    return Stations(demand.visits, demand.lines, idle, service, retry)


def _busiest_ns(stations: Stations, cpus: NDArray[np.int64]) -> Floats:
    """Time per object that the busiest line is taken once every CPU queues at it, `[P]`."""
    taken = stations.service_ns + stations.retry_ns * (cpus - 1)
    busiest: Floats = (stations.visits / stations.lines * taken).max(axis=0)
    return busiest


def _knee(host: Host, think_ns: Floats, demand: Demand) -> Floats:
    """Fewest CPUs that leave the busiest line no idle time, `[P]`: N max S >= Z + sum S. inf: more than MAX_CPUS."""
    low, high = np.zeros_like(think_ns, np.int64), np.full_like(think_ns, MAX_CPUS + 1, np.int64)
    for _ in range(int(np.log2(MAX_CPUS)) + 1):
        cpus = (low + high) // 2
        stations = _stations(host, np.maximum(cpus, 1), demand, CENTRE)
        full = cpus * _busiest_ns(stations, cpus) >= think_ns + in_order(stations.visits * stations.idle_ns)
        low, high = np.where(full, low, cpus), np.where(full, cpus, high)
    return np.where(high > MAX_CPUS, np.inf, high)
