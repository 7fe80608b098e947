"""The contention model held against contended loops: published curves, and this project's own calibration.

Each curve is fitted on its rows of role `fit`, few CPUs, and predicted on those of role `predict`, many. What is
fitted is said at each function; latencies are the host presets' and are not fitted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np

from core.host import Host
from core.params import Point
from core.prices.fit import executor, hold_and_weight, loop_prices, rows_of_pair, shapes_ns
from core.prices.lines import Floats, hammer_ns, ticket_ns, transfer_ns, turn_ns
from core.validation.figures import Figure, Tables

Model = Callable[[Floats], Floats]

MILAN_GUEST = "epyc_milan_guest"  # one socket of 83 cores, two threads each, with the latencies of another Milan
POINTS: dict[str, tuple[str, ...]] = {  # name -> overrides of the config: the hosts whose latencies are used
    name: (f"host={name}",)
    for name in ("xeon_skx_8s28", "epyc_milan_2s48", "graviton2_16v", "graviton1_16v", "client_icl_4", "client_skl_4")
}


def figures(tables: Tables, points: Mapping[str, Point]) -> list[Figure]:
    """Return all figures; `points` are those of POINTS, `tables` need `published_contention` and `calibration`."""
    hosts = {name: points[name].host for name in POINTS}
    hosts[MILAN_GUEST] = replace(hosts["epyc_milan_2s48"], sockets=1, cores_per_socket=83)
    rows = tables["published_contention"]
    found = list(_shapes(tables["calibration"]))
    for loop, fit in (("fetch-add", _fetch_add), ("ticket lock", _ticket_lock)):
        for name in dict.fromkeys(row["host"] for row in rows if row["loop"] == loop):
            mine = [row for row in rows if (row["loop"], row["host"]) == (loop, name)]
            found += _curve(loop, name, mine, fit(hosts[name], *_of(mine, "fit")))
    return found


def _curve(loop: str, name: str, rows: Sequence[Mapping[str, str]], model: Model) -> Iterator[Figure]:
    """Yield each row that was kept out of the fit, and the mean error of them all."""
    cpus, ns = _of(rows, "predict")
    predicted = model(cpus)
    for n, value in zip(cpus, predicted, strict=True):
        yield Figure("contention", loop, "", int(n), name, "ns/op", float(value))
    error = 100 * float(np.abs(predicted / ns - 1).mean())
    yield Figure("contention", f"{loop}, mean error", "", 0, name, "%", error)


def _fetch_add(host: Host, cpus: Floats, ns: Floats) -> Model:
    """Fit h and phi where CPUs are at several distances; else one service time, or on Arm what `executor` finds."""
    if host.kind == "near" and len(cpus) > 1:
        fitted = hold_and_weight(host, cpus, ns)
        hand_over = transfer_ns(fitted, fitted.far_weight)
        return lambda n: hammer_ns(n, turn_ns(fitted.t_local_ns, hand_over[n.astype(int)], fitted.hold_ns))
    found = executor(cpus, ns)
    if found["kind"] == "llsc":
        return lambda n: n * (found["llsc_base_ns"] + found["llsc_retry_ns"] * (n - 1))
    return lambda n: n * found["far_service_ns"]


def _ticket_lock(host: Host, cpus: Floats, ns: Floats) -> Model:
    """Fit the section's own time on N = 2; what a waiter adds is the host's transfer time."""
    waiter = float(transfer_ns(host, 1.0)[2])
    section = float((ns / cpus - waiter * (cpus - 1) / 2).mean())
    return lambda n: ticket_ns(n, section, waiter)


def _shapes(rows: Sequence[Mapping[str, str]]) -> Iterator[Figure]:
    """Yield model over measurement of the loops that calibration keeps out of its fit, and their mean error."""
    measured = rows_of_pair(rows)
    if measured is None:
        return
    errors = []
    for (series, setting), model in shapes_ns(loop_prices(measured)).items():
        ns = measured.get((series, 2, setting))
        if ns is not None:
            errors.append(abs(model / ns - 1))
            yield Figure("calibration", f"{series}, model / measured", "", 2, str(setting), "1", model / ns)
    yield Figure("calibration", "shape checks, mean error", "", 2, "", "%", 100 * float(np.mean(errors)))


def _of(rows: Sequence[Mapping[str, str]], role: str) -> tuple[Floats, Floats]:
    """CPUs and times of the rows of a role."""
    chosen = [(float(row["cpus"]), float(row["ns"])) for row in rows if row["role"] == role]
    cpus, ns = np.array(chosen, np.float64).T
    return cpus, ns
