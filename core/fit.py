"""Prices out of measurements: the constants of a host from timed loops, and what those constants say of other loops.

Fits look at the rows they are given and at nothing else; each has one or two constants and searches a fixed grid, so
that the same rows give the same constants.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from core.host import Host
from core.lines import Floats, hammer_ns, transfer_ns, turn_ns

HOLDS_NS = np.geomspace(0.1, 300.0, 400)
WEIGHTS = np.geomspace(0.005, 1.0, 120)


@dataclass(frozen=True)
class LoopPrices:
    """Constants of one pair of CPUs, ns. hand_over: a dependent miss; next_line: one more whose address was known."""

    plain: float
    local: float
    hand_over: float
    next_line: float
    hold: float


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
        plain=rows["plain", 1, 0],
        local=local,
        hand_over=hand_over,
        next_line=min(rows["gather", 2, 0], hand_over),
        hold=hold_ns(local, hand_over, np.maximum(think, 0.0), measured),
    )


def shapes_ns(prices: LoopPrices) -> dict[tuple[str, int], float]:
    """Return what two CPUs need per turn of each loop that no constant was fitted to: (series, setting) -> ns.

    One shared line alone is hammered, in turns of several operations. A second line ends the turn: each walk pays a
    hand-over, and less for every further line, whose transfer overlaps with the first. A stock of B pages pays for a
    walk once in B.
    """

    def walk(lines: int) -> float:
        return prices.hand_over + (lines - 1) * prices.next_line

    def hammer(think: float) -> float:
        return float(paced_ns(prices.local, prices.hand_over, prices.hold, np.array(think)))

    shapes = {("walk", 1): hammer(0.0), ("leaf_root", 0): hammer(prices.local), ("reference", 0): 2 * hammer(0.0)}
    shapes |= {("walk", levels): walk(levels) for levels in (2, 3, 4)}
    shapes |= {("stock", batch): prices.plain + walk(3) / batch for batch in (1, 32, 64)}
    return shapes | {("list_push", 0): walk(2), ("percpu_ref", 0): 2 * prices.plain}
