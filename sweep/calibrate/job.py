"""The calibrate job: what shared cache lines cost on this node, measured with real atomics.

Passes over all series, a round of bursts each, until every series has enough rounds that were measured in one place or
the time is up. A figure is the median over those rounds. What cannot be trusted is called unreliable, with the reason:
too few rounds, rounds that disagree, CPUs that moved, another figure than last time.
"""

from __future__ import annotations

import csv
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pyarrow as pa

from sweep.calibrate import loops
from sweep.calibrate.bursts import BURSTS, Bench, Series, near
from sweep.calibrate.kernel_path import with_path_price
from sweep.calibrate.pricing import Node, price_table
from sweep.calibrate.topology import Cpu, distance, machine, usable_cpus
from sweep.config import hosts
from sweep.engine.store import Store

ROUNDS = 25  # of every series, measured in one place
LEAST_ROUNDS = 4
BUDGET_S = 50.0
MOST_SPREAD = 0.25  # interquartile range over median above which rounds disagree
AGREES = 0.15  # with the measurement before
HEADLINES = (("xadd", 1), ("hammer", 2), ("chase", 2))  # series and threads that two runs must agree on
SAME_CLASS = 0.25  # ping-pongs this near to each other are of one place

COLUMNS: dict[str, tuple[pa.DataType, str, str]] = {
    "node_type": (pa.string(), "1", "model and number of CPUs"),
    "series": (pa.string(), "1", "loop, see sweep/calibrate/atomics.py"),
    "role": (
        pa.string(),
        "1",
        "fit: a price is made of it; check: the model must predict it; control: must lose updates",
    ),
    "pair": (pa.string(), "1", "class of the CPUs: alone, smt, l3, socket, cross, *_far_home, or several"),
    "threads": (pa.int64(), "1", "CPUs that took part"),
    "setting": (pa.int64(), "1", "think: multiplications; walk: levels; stock: batch in pages"),
    "place_ns": (pa.float64(), "ns", "one-way time between first and last CPU while it was measured"),
    "ns": (
        pa.float64(),
        "ns",
        "per operation and CPU: median over rounds, lower quartile of one CPU; null if there are too few",
    ),
    "low_ns": (pa.float64(), "ns", "lowest round"),
    "high_ns": (pa.float64(), "ns", "highest round"),
    "rounds": (pa.int64(), "1", "rounds that count"),
    "kept": (pa.float64(), "1", "share of bursts whose threads ran at the same time"),
    "verified": (pa.bool_(), "1", "the counters are what the operations must leave behind"),
    "unreliable": (pa.string(), "1", "why the figure cannot be trusted; null if it can"),
}


@dataclass(frozen=True)
class Calibration:
    """Measures the node it runs on; a position is a node. `inputs` is when: every measurement is a run of its own."""

    inputs: str
    tables = ("hosts", "calibration")
    grains = (1,)
    per_node = True

    def positions(self, nodes: int) -> int:
        """Return the number of nodes: one of each type."""
        return nodes

    def count(self) -> int:
        """Return how many positions are points: none is."""
        return 0

    def features(self, position: int) -> tuple[float, ...]:  # noqa: ARG002 (a node takes as long as the next)
        """Return nothing that a cost could depend on."""
        return ()

    def settings(self, position: int) -> Mapping[str, Any]:
        """Return which node a position is."""
        return {"node": position}

    def work(self, start: int, stop: int) -> dict[str, pa.Table]:  # noqa: ARG002 (a task is a node)
        """Measure this node, keep its price table here, and return it with the measurements."""
        cpus = usable_cpus()
        rows = measure_node(cpus, BUDGET_S)
        doubts = list(_doubts(rows, _before()))
        node = Node(hosts.name(), cpus, machine(), hosts.preset())
        text = price_table(node, rows, doubts, datetime.now(UTC), with_path_price)
        _keep(text, rows)
        fields = [
            pa.field(name, kind, metadata={"unit": unit, "doc": doc}) for name, (kind, unit, doc) in COLUMNS.items()
        ]
        found = machine() | {"node_type": hosts.name(), "yaml": text, "unreliable": "; ".join(doubts) or None}
        return {"hosts": pa.Table.from_pylist([found]), "calibration": pa.Table.from_pylist(rows, pa.schema(fields))}

    def told(self, store: Store) -> Iterator[str]:
        """Yield which types of node have a price table now, and why it cannot be trusted if so."""
        for name in store.names("hosts"):
            for row in store.read(f"hosts/{name}").to_pylist():
                yield f"calibrated {row['node_type']}: host=calibrated on such a node uses it"
                if row["unreliable"]:
                    yield f"unreliable: {row['unreliable']}"


def job(config: Mapping[str, Any]) -> Calibration:  # noqa: ARG001 (nothing of a point matters here)
    """Return the job."""
    return Calibration(datetime.now(UTC).isoformat())


def measure_node(cpus: Sequence[Cpu], budget_s: float) -> list[dict[str, Any]]:
    """Measure the series of a node and return a row of COLUMNS for each."""
    bench = Bench(cpus)
    try:
        planned = list(_plan(cpus))
        for _, each in planned:
            bench.prepare(each)
            bench.measure(each)  # settles the length of a burst and the clock frequency
            each.rounds.clear()
        end = time.monotonic() + budget_s
        while time.monotonic() < end and any(_settled(each, planned)[0] < ROUNDS for _, each in planned):
            for _, each in planned:
                bench.measure(each)
        return [_row(pair, each, planned) for pair, each in planned]
    finally:
        bench.close()


def _plan(cpus: Sequence[Cpu]) -> Iterator[tuple[str, Series]]:
    """Yield every series with the class of its CPUs."""
    yield from (("alone", each) for each in loops.single(cpus[0]))
    for name, two, home in loops.pairs_by_class(cpus):
        yield from ((name, each) for each in loops.pair(two, home))
    if len(cpus) == 1:
        return
    two = _nearest_cores(cpus)
    name = distance(*two)
    yield from ((name, each) for each in (loops.hammer(two), *loops.pressure(two), *loops.shapes(two)))
    yield from (("several", loops.hammer(cpus[:n])) for n in loops.counts_of_cpus(cpus) if n > 2)


def _nearest_cores(cpus: Sequence[Cpu]) -> tuple[Cpu, Cpu]:
    """The first core and the nearest other one; threads of one core only where there is nothing else."""
    order = ("l3", "socket", "cross", "smt")
    return min(((cpus[0], cpu) for cpu in cpus[1:]), key=lambda two: order.index(distance(*two)))


def _place(each: Series, planned: Sequence[tuple[str, Series]]) -> float:
    """Where most rounds of a series' pair of CPUs were measured, as a one-way time in ns; 0 for one CPU."""
    ends = each.cpus[0], each.cpus[-1]
    places = np.array(
        [
            a_round.before_ns
            for _, other in planned
            if (other.cpus[0], other.cpus[-1]) == ends
            for a_round in other.rounds
            if a_round.stayed
        ]
    )
    if not places.size or len(each.cpus) == 1:
        return 0.0
    company = (np.abs(places[:, None] - places) <= SAME_CLASS * places).sum(axis=1)
    return float(places[np.argmax(company)])


def _settled(each: Series, planned: Sequence[tuple[str, Series]]) -> tuple[int, float, list[float], float]:
    """Return how many rounds count, where, their times, and the share of rounds' bursts that were kept."""
    place = _place(each, planned)
    counted = [r for r in each.rounds if r.stayed and near(r.before_ns, place, SAME_CLASS)]
    kept = sum(r.kept for r in each.rounds) / max(1, BURSTS * len(each.rounds))
    return len(counted), place, [r.ns for r in counted], kept


def _row(pair: str, each: Series, planned: Sequence[tuple[str, Series]]) -> dict[str, Any]:
    rounds, place, ns, kept = _settled(each, planned)
    low, middle, high = np.percentile(ns, (25, 50, 75)) if ns else (np.nan,) * 3
    doubts = []
    if not each.verified:
        doubts.append("its counters are wrong")
    if rounds < LEAST_ROUNDS:
        doubts.append(f"{rounds} of {len(each.rounds)} rounds count: the machine is busy or its CPUs move")
    elif high - low > MOST_SPREAD * middle:
        doubts.append(f"rounds disagree: half of them are outside {low:.3g} to {high:.3g} ns")
    return {
        "node_type": hosts.name(),
        "series": each.name,
        "role": each.role,
        "pair": pair,
        "threads": len(each.cpus),
        "setting": each.setting if each.shown is None else each.shown,
        "place_ns": place,
        # whatever disturbs a CPU that shares nothing only adds to its time
        "ns": float(low if len(each.cpus) == 1 else middle) if rounds >= LEAST_ROUNDS and each.verified else None,
        "low_ns": min(ns, default=None),
        "high_ns": max(ns, default=None),
        "rounds": rounds,
        "kept": kept,
        "verified": each.verified,
        "unreliable": "; ".join(doubts) or None,
    }


def _doubts(rows: Sequence[Mapping[str, Any]], before: Mapping[tuple[str, int], float]) -> Iterator[str]:
    """Yield why the table that is made of the rows cannot be trusted as a whole."""
    if rows[-1]["threads"] == 1:
        yield "one CPU: nothing that two CPUs share can be measured, presets stand in for it"
    lost = [row for row in rows if row["role"] == "fit" and row["ns"] is None]
    if lost:
        yield f"{len(lost)} series of role fit have no figure; {lost[0]['series']}: {lost[0]['unreliable']}"
    for row in rows:
        name = f"{row['series']} of {row['threads']}"
        if not row["verified"]:
            yield f"{name}: its counters are wrong"
        if (row["series"], row["threads"]) in HEADLINES and row["ns"]:
            if row["unreliable"]:
                yield f"{name}: {row['unreliable']}"
            last = before.get((row["series"], row["threads"]))
            if last and not near(row["ns"], last, AGREES):
                yield f"{name}: {row['ns']:.3g} ns, {last:.3g} ns last time"


def _before() -> dict[tuple[str, int], float]:
    """What the measurement before said of the headline figures."""
    if not hosts.rows_path().exists():
        return {}
    with hosts.rows_path().open(newline="", encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["ns"]]
    return {(row["series"], int(row["threads"])): float(row["ns"]) for row in rows}


def _keep(text: str, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write the price table and what it was made from where `host=calibrated` and `validate` find them."""
    for path in (hosts.table_path(), hosts.rows_path()):
        path.parent.mkdir(parents=True, exist_ok=True)
    hosts.table_path().write_text(text, encoding="utf-8")
    with hosts.rows_path().open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        writer.writerows(rows)
