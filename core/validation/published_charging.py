"""The cost model held against what was measured on kernels: tables of patch series about charging.

Operations come from `core.charge.count`, prices from a host preset; what the publishers' machines add is fitted, on the
rows said at each function and on no other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np

from core.charge.count import count
from core.params import Point
from core.prices.contention import price
from core.prices.lines import Floats, Stations, in_order, queue
from core.validation.figures import Figure, Tables

Rows = Mapping[str, float]

POINTS: dict[str, tuple[str, ...]] = {  # name -> overrides of the config: the points that `figures` starts from
    # a kernel module that allocates and frees objects of one size; 4.19 to 6.0 have batches of 32
    "microbenchmark": ("host=xeon_clx_2s24", "kernel=linux-5.9", "design=objcg", "batch=32", "depth=1"),
    "april": ("host=xeon_clx_2s24", "kernel=linux-5.2", "batch=32", "depth=1"),
}
BEFORE, AFTER = "5.11", "5.15"  # objcg_as_of: without and with 20210506150007.16288-1-longman@redhat.com
THREADS = 96
NETPERFS = 36
COUNTERS = 4  # of a memcg three levels below the root
APRIL_CPUS = (1, 2, 4, 8)
MANY_CPUS = 96
HOT = "kmalloc-4k"  # eight objects to a slab, so that slabs come and go
DEMANDS = np.geomspace(1e-3, 1e3, 4001)  # where fits of one demand look, as multiples of the think time per client


def figures(tables: Tables, points: Mapping[str, Point]) -> list[Figure]:
    """Return all figures; `points` are those of POINTS, `tables` need `published_memcg`."""
    rows: dict[str, dict[str, float]] = {}
    for row in tables["published_memcg"]:
        rows.setdefault(row["table"], {})[row["row"]] = float(row["value"])
    return [
        *_single_thread(points["microbenchmark"], rows["waiman single thread"]),
        *_many_threads(points["microbenchmark"], rows["waiman single thread"], rows["waiman 96 threads"]),
        *_netperf(rows["netperf"]),
        *_multi_stock(rows["multi-memcg stock"]),
        *_april(points["april"]),
    ]


def _microbenchmark(point: Point, cache: str, version: int, as_of: str, cpus: int) -> Point:
    """Every CPU allocates and frees objects of one cache in one memcg, four at a time."""
    mix = replace(
        point.workload.charge,
        allocations_per_cpu=max(40_000 // cpus, 1),
        memcgs_per_cpu=0.0,
        home_cpus=1,
        quantum_allocations=4.0,
        migrates=0.0,
        short_lived=1.0,
        outlives=0.0,
        remote_frees=0.0,
        caches={cache: 1.0},
    )
    workload = replace(point.workload, charge=mix)
    return replace(point, workload=workload, churn_hz=0.0, cgroup_version=version, objcg_as_of=as_of, cpus=cpus)


def _operations(point: Point) -> tuple[float, float, float]:
    """What one object does: operations on the byte stock, per-CPU ones (the stock of pages included), atomics."""
    found = count([point])
    objects = float(found["objects_allocated"][0])
    percpu = sum(float(found[name][0]) for name in ("percpu_ops", "page_charges", "page_uncharges"))
    return 2.0, percpu / objects, float(found["shared_atomics"][0]) / objects


def _single_thread(point: Point, rows: Rows) -> Iterator[Figure]:
    """Fit three prices, of a byte-stock operation, a per-CPU operation and an atomic, on three rows; predict three.

    Fitted on: 32 B before and after the series, 4 KiB on cgroup v1 before.
    """
    cases = {
        "32 B, before": ("kmalloc-32", 2, BEFORE),
        "32 B, after": ("kmalloc-32", 2, AFTER),
        "4 KiB v1, before": ("kmalloc-4k", 1, BEFORE),
        "4 KiB v2, before": ("kmalloc-4k", 2, BEFORE),
        "4 KiB v2, after": ("kmalloc-4k", 2, AFTER),
        "4 KiB v1, after": ("kmalloc-4k", 1, AFTER),
    }
    done = {name: np.array(_operations(_microbenchmark(point, *case, cpus=1))) for name, case in cases.items()}
    fitted = list(cases)[:3]
    off = rows["accounting off"]
    prices = np.linalg.solve(np.stack([done[name] for name in fitted]), np.array([rows[name] - off for name in fitted]))
    for name in list(cases)[3:]:
        yield Figure(
            "contention", f"alloc and free, {name}", "5.12", 1, "one thread", "ns", off + float(done[name] @ prices)
        )


def _many_threads(point: Point, single: Rows, many: Rows) -> Iterator[Figure]:
    """How much the series speeds 96 threads up that share one memcg.

    Fitted on the row without accounting: how much slower a thread is than one alone, as two share a core.
    """
    off = single["accounting off"]
    slower = THREADS * 1e6 / off / many["accounting off"]
    point = replace(point, host=replace(point.host, object_think_ns=off, page_think_ns=0.0))
    for version in (2, 1):
        rates = []
        for as_of in (BEFORE, AFTER):
            each = _microbenchmark(point, "kmalloc-4k", version, as_of, THREADS)
            found = price([each], count([each]))
            alone, queued = (float(found[name][0]) for name in ("ns_per_object_uncontended", "ns_per_object"))
            # work of a CPU's own is slowed by its sibling, waiting for a line is not
            rates.append(1 / max(slower * (off + alone), off + queued))
        yield Figure(
            "contention", f"speed-up of v{version}", "5.12", THREADS, "one memcg, 4 KiB", "1", rates[1] / rates[0]
        )


def _throughput(clients: int, think: float, demands: Sequence[float | Floats]) -> Floats:
    """Of clients that think and then visit a line of each demand, per unit of the demands' time, `[P]`."""
    service = np.stack(np.broadcast_arrays(*(np.atleast_1d(np.asarray(each, np.float64)) for each in demands)))
    one = np.ones_like(service)
    size = service.shape[1]
    stations = Stations(one, one, service, service, 0.0 * one)
    stay = queue(np.full(size, clients), np.full(size, think), stations, variability=1.0)  # a unit is many visits
    return clients / (think + in_order(stay))


def _fit(model: Callable[[Floats], Floats], target: float, unit: float) -> float:
    """Demand at which a throughput, falling in it, is nearest to the target."""
    demands = unit * DEMANDS
    return float(demands[np.argmin(np.abs(np.log(model(demands) / target)))])


def _netperf(rows: Rows) -> Iterator[Figure]:
    """Throughput of netperf in one memcg of three levels, the top one protected: counters of four levels, and one
    line for the usage that protection propagates.

    Fitted on four rows, one demand each: the root memcg (what a client does besides), fewer xchg (a counter's line,
    protection being away), 6.0-rc1 (the protection's line), new layout (what it saves). Predicted: a batch of 64, which
    halves all demands, and all three changes.
    """
    think = NETPERFS / rows["root memcg"]
    unit = think / NETPERFS

    def model(counter: float | Floats, protection: float | Floats) -> Floats:
        return _throughput(NETPERFS, think, [counter] * COUNTERS + [protection])

    counter = _fit(lambda demand: model(demand, 0.0), rows["fewer xchg"], unit)
    protection = _fit(lambda demand: model(counter, demand), rows["6.0-rc1"], unit)
    layout = _fit(lambda share: model(share * counter, share * protection), rows["new layout"], 1.0)
    halves = (layout * counter / 2, 0.0), (counter / 2, protection / 2)
    wholes = (counter, 0.0), (layout * counter, layout * protection), (counter, protection)
    everything, batch, *others = (float(model(*each)[0]) for each in (*halves, *wholes))
    order = [rows["root memcg"], everything, batch, *others]
    swapped = sum(a <= b for a, b in pairwise(order))
    yield Figure("contention", "batch 64 against 6.0-rc1", "6.0", 72, "netperf", "%", 100 * (batch / order[-1] - 1))
    yield Figure("contention", "all changes against root", "6.0", 72, "netperf", "%", 100 * (everything / order[0] - 1))
    yield Figure("contention", "rows out of order", "6.0", 72, "netperf", "1", float(swapped))


def _multi_stock(rows: Rows) -> Iterator[Figure]:
    """Gain of a stock of seven memcgs where many clients charge on the same CPUs.

    The old stock's throughput is taken from its row, and so is what the network itself can do: both are what the new
    one is applied to. Fitted on the rows of 36 clients: which share of the visits to shared lines is left. Predicted:
    the new throughput at other numbers of clients.
    """
    link = 1 / rows["7 slots, 6 clients"]

    def old_demand(clients: int) -> float:
        return _fit(lambda d: _throughput(clients, 0.0, [link, d]), rows[f"1 slot, {clients} clients"], link)

    most = 36
    left = _fit(lambda d: _throughput(most, 0.0, [link, d]), rows[f"7 slots, {most} clients"], link) / old_demand(most)
    for clients in (12, 18, 24, 30):
        new = _throughput(clients, 0.0, [link, left * old_demand(clients)])
        gain = float(new[0]) / rows[f"1 slot, {clients} clients"]
        yield Figure("contention", "throughput, 7 slots / 1", "6.15", 72, f"{clients} clients", "1", gain)


def _april(point: Point) -> Iterator[Figure]:
    """What a reference per slab charge costs against 5.2, as a share of the time of an allocating loop.

    On few CPUs as the patch had it: one memcg on 5.2. On many CPUs as its reviewer had it: per-CPU batching has saved
    every other atomic, those of uncharges too (which 5.2 does not batch: there, counters saturate before the reference
    does), and one kmem_cache is hot, of few objects to a slab: of dentries, 42 to a slab, CPUs and node keep so many in
    reserve that 8,600 are allocated for each page charge, and no reference is felt. Nothing is fitted.
    """

    def loss(design: str, cpus: int, *, hot: bool) -> float:
        caches = {HOT: 1.0} if hot else point.workload.charge.caches
        mix = replace(point.workload.charge, memcgs_per_cpu=0.0, caches=caches)
        base = replace(
            point,
            workload=replace(point.workload, charge=mix),
            cpus=cpus,
            uncharge_batched=True if hot else point.uncharge_batched,
        )
        pair = [replace(base, design=name) for name in ("page_ref", design)]
        counted = count(pair)
        found = price(pair, counted)["ns_per_object"].astype(float)
        pages = float(counted["page_charges"][0]) / float(counted["objects_allocated"][0])
        loop = point.host.object_think_ns + pages * point.host.page_think_ns
        return 100 * float((found[1] - found[0]) / (loop + found[0]))

    for cpus in APRIL_CPUS:
        lost = loss("reparent_atomic", cpus, hot=False)
        yield Figure("contention", "loss by an atomic reference", "5.2", cpus, "one memcg", "%", lost)
    for name, design in (("an atomic", "reparent_atomic"), ("a percpu", "reparent_percpu")):
        lost = loss(design, MANY_CPUS, hot=True)
        yield Figure("contention", f"loss by {name} reference", "5.2", MANY_CPUS, "hot cache, all batched", "%", lost)
