"""A node's price table, as an option of the group `host`, out of its measurements."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from statistics import median
from typing import Any

import numpy as np
from omegaconf import OmegaConf

from core.host import Host
from core.prices import fit
from sweep.calibrate.topology import Cpu
from sweep.config.options import option
from sweep.config.records import build

SMT_NS = 15.0  # threads of one core are 7 to 10 ns apart on every machine published, cores 16 ns and more
TRANSFERS = ("smt", "l3", "socket", "cross")
SeriesRow = Mapping[str, Any]
Add = Callable[[dict[str, Any]], dict[str, Any]]


@dataclass(frozen=True)
class Node:
    """The node a table is of: its CPUs, what `topology.machine` says of it, and the preset it is nearest to."""

    name: str
    cpus: Sequence[Cpu]
    machine: Mapping[str, str]
    preset: str


def price_table(node: Node, rows: Sequence[SeriesRow], doubts: Sequence[str], now: datetime, add: Add = dict) -> str:
    """Return the YAML of the table, after `add` put in what was measured otherwise. What was not is the preset's."""
    machine = node.machine
    table: dict[str, Any] = {
        "name": node.name,
        "grade": "C" if doubts else "measured",
        "source": f"calibrate, {now:%Y-%m-%d %H:%M} UTC, {machine['model']} ({machine['type']}), "
        f"Linux {machine['kernel']}, LLVM {machine['llvm']}"
        f"{', a virtual machine' if machine['virtual'] == 'True' else ''}"
        f"{'; unreliable: ' + '; '.join(doubts) if doubts else ''}",
    }
    table |= _own_prices(rows)
    if len(node.cpus) > 1:
        table |= _topology(node.cpus) | _shared_prices(rows)
        if machine["virtual"] == "True" and 0 < (table.get("transfer_ns", {}).get("socket") or 0) < SMT_NS:
            # threads of one core, sold as cores
            table["transfer_ns"] |= {"smt": table["transfer_ns"]["socket"], "socket": None}
            table |= {"cores_per_socket": 1, "cores_per_l3": 1, "threads_per_core": table["cores_per_socket"]}
        host = build(Host, option("host", node.preset) | table, "host.")
        table |= _curve(host, rows, machine["architecture"])
    table = add(table)
    build(Host, option("host", node.preset) | table, "host.")  # what is written can be read
    body = OmegaConf.to_yaml({"defaults": [node.preset, "_self_"]} | table)
    return f"# Written by python -m sweep +experiment=calibrate\n{body}"


def _topology(cpus: Sequence[Cpu]) -> dict[str, int]:
    """Sizes of the machine, as far as this process may use it."""
    sockets = len({cpu.socket for cpu in cpus})
    cores = {(cpu.socket, cpu.core) for cpu in cpus}
    groups = {(cpu.socket, cpu.l3) for cpu in cpus}
    return {
        "sockets": sockets,
        "cores_per_socket": -(-len(cores) // sockets),
        "cores_per_l3": -(-len(cores) // len(groups)),
        "threads_per_core": -(-len(cpus) // len(cores)),
    }


def _own_prices(rows: Sequence[SeriesRow]) -> dict[str, float]:
    """What one CPU pays alone."""
    alone = {row["series"]: row["ns"] for row in rows if row["threads"] == 1}
    wanted = (("t_plain_ns", "percpu_ref", 2), ("t_local_ns", "xadd", 1), ("lock_ns", "list_push", 1))
    return {key: round(alone[series] / n, 3) for key, series, n in wanted if alone[series] is not None}


def _shared_prices(rows: Sequence[SeriesRow]) -> dict[str, Any]:
    """What lines cost that CPUs share."""
    prices: dict[str, Any] = {}
    found = {name: _transfer(rows, (name,)) for name in TRANSFERS}
    found |= {"socket_far_home": _transfer(rows, ("socket_far_home", "l3_far_home")), "cross_far": None}
    if any(found.values()):
        prices["transfer_ns"] = found
    loops = fit.rows_of_pair(rows)
    if loops is not None:
        constants = fit.loop_prices(loops)
        prices["hold_ns"] = round(constants.hold, 3)
        prices["walk_overlap"] = round(1 - constants.next_line / constants.hand_over, 3)
    return prices


def _transfer(rows: Sequence[SeriesRow], pairs: Sequence[str]) -> float | None:
    """A dependent miss of a class of pairs: median over pairs."""
    found = [row["ns"] for row in rows if row["series"] == "chase" and row["pair"] in pairs and row["ns"] is not None]
    return round(median(found), 3) if found else None


def _curve(host: Host, rows: Sequence[SeriesRow], architecture: str) -> dict[str, Any]:
    """What the N-curve says: phi on a machine of several distances, and on Arm who executes an atomic."""
    curve = sorted((row["threads"], row["ns"]) for row in rows if row["series"] == "hammer" and row["ns"] is not None)
    if len(curve) < 3:
        return {}
    cpus, ns = np.array(curve, np.float64).T
    if architecture != "x86_64":
        return fit.executor(cpus, ns)
    fitted = fit.hold_and_weight(host, cpus, ns)
    return {"hold_ns": round(fitted.hold_ns, 3), "far_weight": round(fitted.far_weight, 4)}
