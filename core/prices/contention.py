"""From counts to nanoseconds: what a window's operations cost on a host, alone and with every CPU charging.

Counts are facts, prices are opinions. `price` takes the operations that `core.charge.count` counted and a `Host`, and
asks what they cost when all CPUs of the point allocate as fast as they can: a closed network whose customers are the
CPUs and whose stations are the lines they share. Between two objects a CPU thinks `host.object_think_ns`, and
`host.page_think_ns` more per slab page. The design and the workload say which lines there are and who shares them.

The band, `*_low` to `*_high`, spans what published curves leave open: transfer times by 0.7 to 1.5, far hand-offs
weighted 0.02 (fitted to an 8-socket Xeon) to 1 (random order), and hand-overs that take a constant time to ones that
vary as an exponential does.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from core.charge.load import memcgs_online
from core.columns import Column
from core.designs import DESIGNS
from core.host import Host
from core.keys import identity, seen_by
from core.params import Point
from core.prices.lines import MAX_CPUS, Floats, Stations, beside, in_order, queue, transfer_ns

COUNTS = (  # columns of core.charge.count that are priced
    "objects_allocated",
    "page_charges",
    "page_uncharges",
    "leaf_counter_atomics",
    "upper_counter_atomics",
    "memsw_counter_atomics",
    "kmem_counter_atomics",
    "protection_atomics",
    "stat_atomics",
    "refcount_atomics",
    "byte_atomics",
    "lock_acquisitions",
    "percpu_ops",
)
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
    `[classes, 1]` lines that change hands in a visit. contended: `[classes, P]` the same once CPUs queue at the line.
    section_ns: `[classes, 1]` what the holder does besides.
    further: `[classes, P]` share of the visits that follow one to another line of the same walk. paged: `[classes]`
    which ones a slab-page charge visits; an object visits the others.
    """

    visits: Floats
    lines: Floats
    owners: Floats
    hand_overs: Floats
    contended: Floats
    section_ns: Floats
    further: Floats
    paged: NDArray[np.bool_]


@dataclass(frozen=True)
class _Lines:
    """One class of `Demand`: its columns, each `[P]` or the same for all points; `further` null: none of the visits."""

    visits: Floats
    lines: Floats
    owners: Floats
    hand_overs: int = 1
    section_ns: float = 0.0
    further: Floats | None = None
    contended: Floats = field(kw_only=True)
    paged: bool = field(kw_only=True)


def _demand(host: Host, points: Sequence[Point], counts: Mapping[str, Floats]) -> Demand:
    """Spread the operations of `counts`, each `[P]` per object, over the lines that the design and the workload have.

    A memcg has a counter of its own per resource (memory, memsw, kmem), as has each of its ancestors, which all memcgs
    share: children of one parent. Usage propagated for memory.min and memory.low goes to a second line of a counter.
    Until 6.1 the limit that a charge compares with lies in the line of the usage: where CPUs queue, the line is gone
    again by then, and comes back to be read (20220825000506.239406-3-shakeelb@google.com moved it).
    """

    def each(value: Callable[[Point], float]) -> Floats:
        return np.array([value(point) for point in points], np.float64)

    memcgs = each(lambda point: memcgs_online(point.workload.charge, point.cpus))
    caches = memcgs * each(_equal_caches)
    depth = each(lambda point: point.depth)
    protected = np.maximum(each(lambda point: point.protected_levels), 1)
    own = 1 / (depth + 1)  # of the levels of a walk
    referents = np.where(each(lambda point: DESIGNS[point.design].cache_ref != "none") > 0, caches, memcgs)
    locks = each(_locks)
    one = np.ones_like(memcgs)
    reread = each(lambda point: 1 if point.kernel.protection_xchg_elided else 2)  # of the same series as the layout
    above = (depth - 1) / depth  # the first ancestor is the first to be waited for: the memcg's own line is mostly near
    memsw, kmem, stat = (counts[f"{name}_atomics"] for name in ("memsw_counter", "kmem_counter", "stat"))
    classes = [
        _Lines(counts["leaf_counter_atomics"], memcgs, memcgs, contended=reread, paged=True),
        _Lines(counts["upper_counter_atomics"], depth, one, further=above, contended=reread, paged=True),
        _Lines(memsw * own, memcgs, memcgs, contended=reread, paged=True),
        _Lines(memsw * (1 - own), depth, one, further=above, contended=reread, paged=True),
        _Lines(kmem * own, memcgs, memcgs, contended=reread, paged=True),
        _Lines(kmem * (1 - own), depth, one, further=above, contended=reread, paged=True),
        _Lines(stat * own, 2 * memcgs, memcgs, contended=one, paged=True),
        _Lines(stat * (1 - own), 2 * depth, one, contended=one, further=above, paged=True),
        _Lines(counts["protection_atomics"], protected, one, contended=one, further=one, paged=True),
        _Lines(counts["refcount_atomics"], referents, referents, contended=one, paged=True),
        _Lines(counts["lock_acquisitions"], locks, locks, 2, host.list_node_ns, contended=2 * one, paged=True),
        _Lines(counts["byte_atomics"], memcgs, memcgs, contended=one, paged=False),
    ]
    used = [each for each in classes if each.visits.any()]  # a class that no point visits adds nothing but time
    none = np.zeros_like(memcgs)
    return Demand(
        visits=np.array([each.visits for each in used]).reshape(-1, memcgs.size),
        lines=np.array([each.lines for each in used]).reshape(-1, memcgs.size),
        owners=np.array([each.owners for each in used]).reshape(-1, memcgs.size),
        hand_overs=np.array([each.hand_overs for each in used], np.float64)[:, None],
        contended=np.array([each.contended for each in used]).reshape(-1, memcgs.size),
        section_ns=np.array([each.section_ns for each in used], np.float64)[:, None],
        further=np.array([none if each.further is None else each.further for each in used]).reshape(-1, memcgs.size),
        paged=np.array([each.paged for each in used], np.bool_),
    )


def _equal_caches(point: Point) -> float:
    """How many equally used kmem_caches collide as often as those of the workload do: 1 / sum share^2."""
    shares = np.array(list(point.workload.charge.caches.values()), np.float64)
    return float(shares.sum() ** 2 / np.square(shares).sum())


def _locks(point: Point) -> float:
    per_memcg = {"memcg": 1, "memcg_node": point.nodes, "kmem_cache": _equal_caches(point)}
    return memcgs_online(point.workload.charge, point.cpus) * per_memcg[point.page_list_lock]


def price(points: Sequence[Point], counts: Mapping[str, NDArray[np.generic]]) -> dict[str, NDArray[np.generic]]:
    """Return the columns of COLUMNS, each of shape `[len(points)]`, for what `core.charge.count` counted."""
    size, points = len(points), [seen_by(point, "price") for point in points]
    of_host: dict[str, list[int]] = {}
    for index, point in enumerate(points):
        of_host.setdefault(identity(point.host), []).append(index)
    columns: dict[str, NDArray[np.generic]] = {
        "host_prices": np.array([point.host.name for point in points]),
        "host_grade": np.array([point.host.grade for point in points]),
        "host_exceeded": np.array([point.cpus > point.host.cpus for point in points]),
    }
    for indices in of_host.values():
        host = points[indices[0]].host
        at = np.array(indices)
        here = {name: np.asarray(counts[name], np.float64)[at] for name in COUNTS}
        for name, values in _price_on(host, [points[i] for i in indices], here).items():
            columns.setdefault(name, np.empty(size))[at] = values
    return {name: columns[name] for name in COLUMNS}


def _price_on(host: Host, points: Sequence[Point], counts: Mapping[str, Floats]) -> dict[str, Floats]:
    """Price points of one host; `counts` are of the window, columns of `[P]`."""
    cpus = np.array([point.cpus for point in points], np.int64)
    per_object = {name: counts[name] / counts["objects_allocated"] for name in COUNTS}
    pages = per_object["page_charges"]
    demand = _demand(host, points, per_object)
    stocks = 2.0 * np.array([DESIGNS[point.design].charges == "bytes" for point in points])
    own = per_object["percpu_ops"] * (host.t_plain_ns + host.percpu_call_ns) + stocks * host.byte_stock_ns
    called = (pages + per_object["page_uncharges"]) * host.percpu_call_ns  # the stock of pages
    called = called + in_order(demand.visits[demand.paged]) * host.atomic_call_ns
    own = own + in_order(demand.visits[~demand.paged]) * host.atomic_call_ns
    think = host.object_think_ns + pages * host.page_think_ns + own + called
    columns: dict[str, Floats] = {}

    def add(suffix: str, visit_ns: Floats) -> None:
        time = demand.visits * visit_ns
        walked = called + in_order(time[demand.paged])
        columns[f"ns_per_page_charge{suffix}"] = np.divide(walked, pages, out=np.zeros_like(pages), where=pages > 0)
        columns[f"ns_per_object{suffix}"] = own + called + in_order(time)

    add("_uncontended", _stations(host, np.ones_like(cpus), demand, CENTRE).idle_ns)
    bands = {"": CENTRE, "_low": LOW, "_high": HIGH}
    stations = [_stations(host, cpus, demand, band) for band in bands.values()]
    variability = np.repeat([band.variability for band in bands.values()], cpus.size)
    visits_ns = queue(np.tile(cpus, len(bands)), np.tile(think, len(bands)), beside(stations), variability)
    for suffix, visit_ns in zip(bands, np.split(visits_ns, len(bands), axis=1), strict=True):
        add(suffix, visit_ns)
    busiest = _busiest_ns(stations[0], cpus)
    columns["knee_cpus"] = _knee(host, think, demand)
    columns["saturated_charges_per_s"] = np.divide(
        1e9 * pages, busiest, out=np.full_like(pages, np.inf), where=busiest > 0
    )
    return columns


def _stations(host: Host, cpus: NDArray[np.int64], demand: Demand, band: Band) -> Stations:
    """Price every class of lines for `cpus` CPUs `[P]`. Of k sharers, once in k times the last owner is oneself."""
    sharers = 1 + (cpus - 1) / demand.owners
    moves = band.scale * (1 - 1 / sharers)
    own_ns = host.t_local_ns / sharers
    if host.kind == "near":
        found = transfer_ns(host, 1.0)[cpus] * (1 - host.walk_overlap * demand.further)
        queued = transfer_ns(host, band.weight(host))[cpus]
    else:
        found = queued = np.full(cpus.shape, host.far_service_ns if host.kind == "far" else host.llsc_base_ns)
    idle = demand.section_ns + demand.hand_overs * (own_ns + moves * found)
    service = demand.section_ns + demand.contended * (own_ns + moves * queued)
    retry = demand.contended * moves * (host.llsc_retry_ns if host.kind == "llsc" else 0.0)
    return Stations(demand.visits, demand.lines, idle, service, retry)


def _busiest_ns(stations: Stations, cpus: NDArray[np.int64]) -> Floats:
    """Time per object that the busiest line is taken once every CPU queues at it, `[P]`."""
    taken = stations.service_ns + stations.retry_ns * (cpus - 1)
    busiest: Floats = (stations.visits / stations.lines * taken).max(axis=0, initial=0.0)
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
