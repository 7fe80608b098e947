"""What accounting costs on this node's own kernel, as `backend=live` measured it: kept, and part of its price table."""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from statistics import median
from typing import Any

from omegaconf import OmegaConf

from core.lifecycle.memory import kmalloc
from core.params import Point
from core.prices.path import path_price
from core.validation.made import PIPE_BYTES
from sweep.config import hosts

OPERATION = "pipe"  # of six objects in as many caches, which nothing else than slab accounting charges


def keep_path_price(costs: Sequence[Mapping[str, Any]], point: Point) -> None:
    """Keep the price that rows of `costs` say of this node's kernel; they may say none, and then nothing is kept.

    point: the node's kernel and where its cgroup was. Where the node has a price table, the price goes into it at once.
    """
    alone = [row for row in costs if (row["operation"], row["processes"]) == (OPERATION, 1)]
    if any(row.get("unaccounted_ns") is None for row in alone):
        return
    object_ns = median((row["accounted_ns"] - row["unaccounted_ns"]) / row["objects"] for row in alone)
    names = [kmalloc(size, point.kernel.page_bytes)[0] for size in PIPE_BYTES] + ["inode_cache", "dentry", "filp"]
    found = path_price(point, {name: 1 + (name == "filp") for name in names}, object_ns)
    if found is None:
        return
    name, ns = found
    source = f"{name} by backend=live, {datetime.now(UTC):%Y-%m-%d}: {OPERATION}, {object_ns:.0f} ns an object"
    kept = {"kernel": platform.release(), "prices": {name: round(ns, 3)}, "source": source}
    hosts.path_prices().parent.mkdir(parents=True, exist_ok=True)
    hosts.path_prices().write_text(OmegaConf.to_yaml(kept), encoding="utf-8")
    if hosts.table_path().exists():
        table: Any = OmegaConf.to_container(OmegaConf.load(hosts.table_path()))
        hosts.table_path().write_text(OmegaConf.to_yaml(with_path_price(table)), encoding="utf-8")


def price_line() -> str:
    """Return what is kept of this node's kernel path, and what uses it."""
    kept = _kept()
    if kept is None:
        return "host=calibrated: no price of the kernel's path, as nothing could be compared with the root cgroup"
    prices = ", ".join(f"{name} = {ns} ns" for name, ns in kept["prices"].items())
    uses = "host=calibrated has" if hosts.table_path().exists() else "+experiment=calibrate makes host=calibrated of"
    return f"{uses} {prices} ({kept['source']})"


def with_path_price(table: Mapping[str, Any]) -> dict[str, Any]:
    """Return a price table of this node with the price that was kept, if it is of the kernel that runs now."""
    kept = _kept()
    if kept is None:
        return dict(table)
    source = table["source"].partition("; kernel path: ")[0]
    return {**table, **kept["prices"], "source": f"{source}; kernel path: {kept['source']}"}


def _kept() -> dict[str, Any] | None:
    """Return what is kept of the kernel that runs now."""
    if not hosts.path_prices().exists():
        return None
    kept: Any = OmegaConf.to_container(OmegaConf.load(hosts.path_prices()))
    return dict(kept) if kept["kernel"] == platform.release() else None
