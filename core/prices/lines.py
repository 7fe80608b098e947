"""Cache lines that several CPUs write: what a hand-over costs, and how long CPUs queue for it.

A line is a station of a closed queueing network whose customers are CPUs. Two things set it apart from a textbook
station. The line travels: a visit costs the one-way transfer from the last owner, by where both CPUs sit and where
the line is homed. And the hardware hands a contended line to near CPUs first: with far hand-offs weighted by phi the
published curve of an 8-socket Xeon is met, in random order it is missed seven-fold (perfbook 4c69e891,
CodeSamples/count/data/count_atomic:u.hps.2019.10.23a.dat; `core.validation.curves`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from functools import lru_cache, reduce

import numpy as np
from numpy.typing import NDArray

from core.host import Host

Floats = NDArray[np.float64]

_TINY = np.finfo(np.float64).tiny  # against 0 / 0 where nothing is visited and nobody thinks
MAX_CPUS = 8192  # CONFIG_NR_CPUS of x86 distributions; beyond any machine that was priced


@lru_cache(maxsize=256)
def transfer_ns(host: Host, weight: float) -> Floats:
    """Mean time of one hand-over among n CPUs, ns, for n = 0..MAX_CPUS; shape `[MAX_CPUS + 1]`, rising in n.

    CPUs are placed as Linux numbers them: cores first, socket by socket, the second threads of the cores last; more
    CPUs than the host has sit on further sockets like its own. `weight` (phi)
    is the weight of a pair that is not of the nearest class: 1 is random order, the price of an idle line; the host's
    own `far_weight` is that of a saturated one. Means are over ordered pairs, t_x = sum w P t / sum w P.
    """
    cores = np.arange(MAX_CPUS)
    per_half = host.cores_per_socket * host.sockets_per_half
    in_l3, in_socket, in_half = cores % host.cores_per_l3, cores % host.cores_per_socket, cores % per_half
    # earlier cores that each core meets, by class; the cumulative sum counts pairs
    meets = np.stack([in_l3, in_socket - in_l3, in_half - in_socket, cores - in_half])
    if host.cores_per_l3 >= host.cores_per_socket:
        meets[0] = 0
        meets[1] = in_socket
    pairs = np.cumsum(meets, axis=1)

    here, far_home = _class_ns(host)
    sockets = cores // host.cores_per_socket + 1
    t = np.repeat(here[:, None], MAX_CPUS, axis=1)
    t[1] = here[1] / sockets + far_home * (1 - 1 / sockets)  # a line is homed on any of the sockets in use

    nearest = int(np.argmax(pairs[:, -1] > 0))
    w = np.full((4, 1), weight)
    w[nearest] = 1.0
    total = (w * pairs).sum(axis=0)
    by_cores = np.divide((w * pairs * t).sum(axis=0), total, out=np.zeros(MAX_CPUS), where=total > 0)
    by_cores = np.maximum.accumulate(np.concatenate(([0.0], by_cores)))  # [cores in use]
    result: Floats = by_cores[_cores_in_use(host)]
    result[2:][_cores_in_use(host)[2:] == 1] = _or(host.transfer_ns.smt, here[1])
    result.setflags(write=False)
    return result


def _cores_in_use(host: Host) -> NDArray[np.int64]:
    cpus = np.arange(MAX_CPUS + 1)
    cores = host.sockets * host.cores_per_socket
    return np.minimum(cpus, cores) + np.maximum(cpus - host.cpus, 0)


def _class_ns(host: Host) -> tuple[Floats, float]:
    """Times of the classes l3, socket, cross, cross_far, and of a socket pair whose line is homed elsewhere."""
    t = host.transfer_ns
    socket = _or(t.socket, t.l3, t.cross, t.smt, host.t_local_ns)
    cross = _or(t.cross, t.cross_far, socket)
    classes = np.array([_or(t.l3, socket), socket, cross, _or(t.cross_far, cross)])
    return classes, _or(t.socket_far_home, socket)


def _or(*values: float | None) -> float:
    return next(value for value in values if value is not None)


def turn_ns(t_local_ns: float, hand_over_ns: Floats | float, hold_ns: float, think_ns: Floats | float = 0.0) -> Floats:
    """Time per operation of a line whose owner runs several operations before it loses the line, ns.

    An owner keeps the line for `hold_ns` while it has operations ready, so b = 1 + h / (t_local + Z) of them share one
    hand-over. b tends to 1 when the CPU thinks 50 ns or takes a second line between two operations, as every kernel
    charge path does; a loop of nothing but fetch-adds therefore understates what a page counter costs.
    """
    operations = 1 + hold_ns / (t_local_ns + np.asarray(think_ns, float))
    result: Floats = (np.asarray(hand_over_ns, float) + hold_ns) / operations
    return result


def hammer_ns(cpus: Floats, turn: Floats) -> Floats:
    """Time per operation and CPU when `cpus` CPUs do nothing but operate on one line, ns: T(N) = N S."""
    return np.where(cpus > 1, cpus * turn, turn)


def ticket_ns(cpus: Floats, section_ns: float, waiter_ns: float) -> Floats:
    """Time per section and CPU at a ticket lock that all CPUs want, ns: T(N) = N (s + c (N - 1) / 2).

    A release invalidates the line in every waiter, which then reads it again one after the other; half of them are
    served before the next owner (Boyd-Wickizer et al., Linux Symposium 2012). A queued lock has c = 0.
    """
    return cpus * (section_ns + waiter_ns * (cpus - 1) / 2)


@dataclass(frozen=True)
class Stations:
    """Lines of P independent networks, by class of equal lines; every array is `[classes, P]`.

    visits: per cycle of one CPU, to all lines of the class together, each line as likely as the next.
    lines: how many there are.
    idle_ns: a visit that finds nobody at the line.
    service_ns: how long a visit keeps the next one waiting; the rest of `idle_ns` overlaps with it.
    retry_ns: what each CPU found at the line adds to a visit: s1 of a LL/SC loop, or c / 2 of a ticket lock.
    """

    visits: Floats
    lines: Floats
    idle_ns: Floats
    service_ns: Floats
    retry_ns: Floats


def beside(stations: Sequence[Stations]) -> Stations:
    """Return networks that stand beside each other, in this order."""
    return Stations(*(np.concatenate([getattr(each, f.name) for each in stations], axis=1) for f in fields(Stations)))


def queue(cpus: NDArray[np.int64], think_ns: Floats, stations: Stations, variability: Floats | float) -> Floats:
    """Time of one visit to a line of each class with `cpus` CPUs in the network, ns; shape `[classes, P]`.

    cpus, think_ns: `[P]`; a CPU thinks, then makes its visits, over and over.
    variability: squared coefficient of variation of a service, `[P]` or one for all. 1 is exact mean value analysis
        (Reiser and Lavenberg, JACM 1980). 0, a hand-over that always takes the same time, halves the wait for the CPU
        in service (residual life; Reiser, Performance Evaluation 1979) and holds the throughput to what the busiest
        line can take.
    """
    order = np.argsort(-cpus, kind="stable")
    cpus, think_ns = cpus[order], think_ns[order]
    in_service = (1 - np.broadcast_to(variability, order.shape)[order]) / 2
    visits, lines, idle, service, retry = (getattr(stations, field.name)[:, order] for field in fields(Stations))
    visit: Floats = np.empty_like(visits)
    found, busy = np.zeros_like(visits), np.zeros_like(visits)  # CPUs at a line, and in service there, with n - 1 CPUs
    running = np.searchsorted(-cpus, -np.arange(1, cpus[0] + 1), side="right")  # networks of at least n CPUs
    for n, p in enumerate(running, start=1):
        slot = np.s_[:, :p]
        extra = retry[slot] * found[slot]
        takes = service[slot] + extra
        stay = idle[slot] + extra + takes * (found[slot] - busy[slot] * in_service[:p])
        cycle = think_ns[:p] + in_order(visits[slot] * stay)
        demand = visits[slot] / lines[slot] * takes
        worst = demand.max(axis=0, initial=0.0)
        late = np.maximum(n * worst - cycle, 0.0)  # the busiest line holds everybody up
        cycle = np.maximum(cycle + late, _TINY)
        busiest = visits[slot] * (demand == worst)
        stay += late * (demand == worst) / np.maximum(in_order(busiest), _TINY)
        rate = n / cycle * visits[slot] / lines[slot]
        busy[slot] = rate * takes
        found[slot] = rate * (stay - idle[slot] + service[slot])
        visit[slot] = stay
    back = np.empty_like(order)
    back[order] = np.arange(len(order))
    return visit[:, back]


def in_order(rows: Floats) -> Floats:
    """Sum over the first axis, row after row: NumPy's own order depends on the other axis's length."""
    return reduce(np.add, rows, np.zeros(rows.shape[1:]))
