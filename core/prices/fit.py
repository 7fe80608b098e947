"""Prices out of measurements: the constants of a host from timed loops, and what those constants say of other loops.

Fits look at the rows they are given and at nothing else; each has one or two constants and searches a fixed grid, so
that the same rows give the same constants.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from core.host import Host
from core.prices.lines import Floats, hammer_ns, transfer_ns, turn_ns

HOLDS_NS = np.geomspace(0.1, 300.0, 400)
WEIGHTS = np.geomspace(0.005, 1.0, 120)


@dataclass(frozen=True)
class LoopPrices:
    """Constants of one pair of CPUs, ns.

    percpu: one add of a percpu_ref. local: an atomic on an own line. hand_over: a dependent miss. overlapped: a miss
    whose address was known before the last one came back. hold: how long an owner keeps a line.
    """

    percpu: float
    local: float
    hand_over: float
    overlapped: float
    hold: float

    @property
    def next_line(self) -> float:
        """Further line of a walk: its transfer overlaps with the first, but its owner is in mid-hold when asked."""
        return min(max(self.overlapped, self.hold / 2), self.hand_over)

    def loop_ns(self, lines: int, think_ns: float = 0.0) -> float:
        """Time per turn of two CPUs in lockstep that walk `lines` shared lines and think in between.

        Either the lines change hands at every walk. Or an owner runs several walks before it loses them: it holds all
        of them at once for 1 / lines of the hold, and a walk takes lines t_local. Whichever is the faster.
        """
        alternating = think_ns + self.hand_over + (lines - 1) * self.next_line
        turn = self.hand_over + (lines - 1) * self.overlapped + self.hold
        walks = 1 + self.hold / lines / (lines * self.local + think_ns)
        return min(alternating, max(2 * turn, turn + think_ns) / walks)


def hold_ns(local_ns: float, hand_over_ns: float, think_ns: Floats, measured_ns: Floats, cpus: int = 2) -> float:
    """Return h, the time an owner keeps a line, from loops of `cpus` CPUs that think between two operations on it.

    think_ns, measured_ns: `[rows]`; a row of think time 0 is a plain hammer. Least squares of log(model / measured).
    """
    models = np.stack([paced_ns(local_ns, hand_over_ns, hold, think_ns, cpus) for hold in HOLDS_NS])
    errors = np.square(np.log(models / measured_ns)).sum(axis=1)
    return float(HOLDS_NS[np.argmin(errors)])


def paced_ns(local_ns: float, hand_over_ns: float, hold: float, think_ns: Floats, cpus: int = 2) -> Floats:
    """Time per operation of CPUs in lockstep on one line: max(N turn, turn + Z) / b(Z)."""
    operations = 1 + hold / (local_ns + think_ns)
    turn = hand_over_ns + hold
    result: Floats = np.maximum(cpus * turn, turn + think_ns) / operations
    return result


def hold_and_weight(host: Host, cpus: Floats, measured_ns: Floats, weights: Floats = WEIGHTS) -> Host:
    """Return the host with h and phi from a curve of contended fetch-adds, time per operation and CPU `[rows]`."""
    best = (np.inf, host)
    for weight in weights:
        hand_over = transfer_ns(host, float(weight))[cpus.astype(int)]
        for hold in HOLDS_NS:
            model = hammer_ns(cpus, turn_ns(host.t_local_ns, hand_over, float(hold)))
            error = float(np.square(np.log(model / measured_ns)).sum())
            if error < best[0]:
                best = (error, replace(host, hold_ns=float(hold), far_weight=float(weight)))
    return best[1]


def loop_prices(rows: Mapping[tuple[str, int, int], float]) -> LoopPrices:
    """Return the constants of a pair of CPUs from the rows of role `fit`: (series, threads, setting) -> ns."""
    local = rows["xadd", 1, 0]
    steps = sorted(setting for series, threads, setting in rows if (series, threads) == ("think", 2))
    think = np.array([0.0, *(rows["think", 1, step] - rows["add", 1, 0] for step in steps)])
    measured = np.array([rows["hammer", 2, 0], *(rows["think", 2, step] for step in steps)])
    hand_over = rows["chase", 2, 0]
    return LoopPrices(
        percpu=rows["percpu_ref", 1, 0] / 2,
        local=local,
        hand_over=hand_over,
        overlapped=rows["gather", 2, 0],
        hold=hold_ns(local, hand_over, np.maximum(think, 0.0), measured),
    )


def shapes_ns(prices: LoopPrices) -> dict[tuple[str, int], float]:
    """Return what two CPUs need per turn of each loop that no constant was fitted to: (series, setting) -> ns.

    A get and a put are two operations on one line; a locked list is the lock's line and the head's; a stock of B pages
    pays for a walk of three levels once in B pages, each of which costs one add to an own line.
    """
    shapes = {("walk", levels): prices.loop_ns(levels) for levels in (1, 2, 3, 4)}
    shapes |= {("stock", pages): prices.loop_ns(3, pages * prices.percpu) / pages for pages in (1, 32, 64)}
    return shapes | {
        ("leaf_root", 0): prices.loop_ns(1, prices.local),
        ("reference", 0): 2 * prices.loop_ns(1),
        ("percpu_ref", 0): 2 * prices.percpu,
        ("list_push", 0): prices.loop_ns(2),
    }


def rows_of_pair(rows: Sequence[Mapping[str, Any]]) -> dict[tuple[str, int, int], float] | None:
    """Return the rows of calibration that are of one CPU and of one pair, by (series, threads, setting).

    None if the pair's loops could not be measured. The pair is that of the hammer; of other pairs only transfer times
    are measured.
    """
    hammer = next((row for row in rows if row["series"] == "hammer" and int(row["threads"]) == 2 and row["ns"]), None)
    if hammer is None:
        return None
    of_pair = [row for row in rows if row["ns"] and row["pair"] in ("alone", hammer["pair"])]
    found = {(row["series"], int(row["threads"]), int(row["setting"])): float(row["ns"]) for row in of_pair}
    needed = {("percpu_ref", 1, 0), ("add", 1, 0), ("xadd", 1, 0), ("chase", 2, 0), ("gather", 2, 0)}
    return found if needed <= set(found) else None


def executor(cpus: Floats, measured_ns: Floats) -> dict[str, Any]:
    """Return who executes an atomic, from a curve on a machine that may do it at the line's home: kind and its prices.

    Time per operation of the whole machine, S = T / N, rises with N under LL/SC, whose retries grow with the waiters,
    and is flat where the home node executes.
    """
    shared = cpus >= 2
    service = measured_ns[shared] / cpus[shared]
    if service[-1] > 1.5 * service[0]:
        retry, base = np.polyfit(cpus[shared] - 1, service, 1)
        return {"kind": "llsc", "llsc_base_ns": round(float(base), 3), "llsc_retry_ns": round(float(retry), 3)}
    return {"kind": "far", "far_service_ns": round(float(np.median(service)), 3)}
