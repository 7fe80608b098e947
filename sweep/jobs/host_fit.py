"""What the rows of a host's CSV say to the fit, and what the fit says to people."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from core.columns import Column
from core.designs import DESIGNS
from core.lifecycle.leftovers import DYING
from core.lifecycle.life import pins_of
from core.lifecycle.memory import METERS, PERCPU, memcg_percpu
from core.lifecycle.weights import geometry_of, weigh
from core.observed.fit import Fitted, Kind, Observations, interval, slope, unseen
from core.observed.mean_field import Pinning
from core.params import Point
from core.workload import PAGE_CACHE, PIN_KINDS
from sweep.config.observed import Observed

DAY_S = 86400.0
HEAP = [at for at, meter in enumerate(METERS) if meter != PERCPU]  # what /proc/meminfo counts as Slab
TOLD = 0.5  # the data tell what has an interval below that share of the prior's
WOULD_TELL_CHURN = "a CSV with mkdir_hz, or churn_hz=..., tells them apart"
LEAST_MKDIR_ERROR = 0.1  # relative: some minutes are not the week
FIT_COLUMNS = {
    "number": Column("int64", "1", "order of the rows"),
    "quantity": Column("str", "1", "what was fitted or read"),
    "unit": Column("str", "1", "its unit"),
    "estimate": Column("float64", "column unit", "median of the draws, or the value that was read"),
    "low": Column("float64", "column unit", "lower end of the 95 % interval"),
    "high": Column("float64", "column unit", "upper end"),
    "told": Column("bool", "1", "the data tell it: the interval is less than half as wide as without data"),
    "note": Column("str", "1", "where it comes from, or what it cannot be told apart from"),
}


def kind_of(point: Point) -> Kind:
    """Return what pins a memcg on a point's kernel, and what a dying one weighs on slab."""
    design, load = DESIGNS[point.design], point.workload
    held = [(name, pin.chance, pin.hold_s) for name, pin in vars(load.pins).items()]
    held.append(("stack", load.stray_tasks, load.stray_task_s))
    rules = dict(zip(PIN_KINDS, pins_of(point, design), strict=True))
    one = float(weigh(point, design).counted[:, HEAP, DYING].sum()) / load.levels_per_unit
    slabs = [geometry_of(point, name).pages for name in load.leftovers if name != PAGE_CACHE]
    slab_bytes = point.kernel.page_bytes * sum(slabs) / max(len(slabs), 1)
    return Kind(
        pinning=Pinning(
            slab=design.slab_pins == "memcg",
            page_cache=not point.folio_reparenting,
            held=tuple((min(chance, 1.0), hold_s) for name, chance, hold_s in held if rules[name] and chance),
        ),
        bytes_by_slab=one + slab_bytes,
        bytes_by_page_cache=one,
    )


def rows_seen(seen: Observed, point: Point, given: set[str]) -> Observations:
    """Return the rows that count, from the first of them on."""
    dying = seen.dying
    rows = np.flatnonzero(np.isfinite(dying))
    times_s = seen.times_s[rows] - seen.times_s[rows[0]]
    up = seen.columns.get("uptime_s", np.full(dying.size, np.nan))[rows[0]]
    churn = None
    if "churn_hz" in given:
        churn = (point.churn_hz, 0.01 * point.churn_hz)
    elif (hz := seen.columns.get("mkdir_hz")) is not None:
        span = np.diff(seen.times_s, prepend=0.0)
        made, over = np.nansum(hz * span), span[np.isfinite(hz)].sum()
        if made >= 1:
            units_hz = made / over / point.workload.memcgs_per_unit
            churn = (units_hz, units_hz * math.hypot(1 / math.sqrt(made), LEAST_MKDIR_ERROR))
    held = seen.columns.get("slab_bytes")
    return Observations(
        times_s=times_s,
        dying=dying[rows],
        live_too=seen.counted == "num_cgroups",
        up_s=float(up) if np.isfinite(up) else None,
        churn_hz=churn,
        slab_bytes=None if held is None else slope(times_s, dying[rows], held[rows]),
    )


def rows_of_fit(  # noqa: PLR0917 (a report of all that is known)
    point: Point,
    kind: Kind,
    fitted: Fitted,
    seen: Observed | None,
    rows: Observations | None,
    turnover_s: float,
    given: set[str],
) -> Iterator[dict[str, Any]]:
    """Yield the rows of the table `fit`."""
    blank = unseen(point.workload, turnover_s, kind, point.seed, 4000)
    read = "unknown" if seen is None or seen.kernel is None else seen.kernel
    note = (
        f"{read} is read as profile {point.kernel.name}" if "kernel" not in given else f"given as {point.kernel.name}"
    )
    yield _row("kernel", "", None, told=read != "unknown" or "kernel" in given, note=note)
    for name, unit, value, key, column in (
        ("CPUs, online", "1", point.cpus, "cpus", "cpus_online"),
        ("CPUs, possible", "1", point.nr_cpu_ids, "possible_cpus", "cpus_possible"),
        ("NUMA nodes", "1", point.nodes, "nodes", "nodes"),
        ("memory", "GiB", point.workload.pressure.memory_mib / 1024, "workload.pressure.memory_mib", "memory_bytes"),
    ):
        told = key in given or (seen is not None and bool(seen.last(column)))
        yield _row(name, unit, float(value), told=told, note="" if told else f"the config's; {key}=... sets it")
    doubt = "not told by the data" if seen is not None else "as the workload and the keys say"
    hosts, free = fitted.hosts, blank.hosts
    churn_told = _told(hosts.churn_hz, free.churn_hz)
    steady = seen is None or rows is None or (rows.up_s is None) == (seen.last("uptime_s") is None)
    by = "by slab and page cache" if kind.pinning.slab else "by page cache alone, by the kernel's rules"
    for name, unit, values, without, why in (
        ("zombies", "1/d", fitted.zombies_hz * DAY_S, blank.zombies_hz * DAY_S, "cgroups that stay dying when removed"),
        (
            "churn", "1/s", hosts.churn_hz, free.churn_hz,
            _still(seen) or ("" if churn_told else f"not told apart from the share: {WOULD_TELL_CHURN}"),
        ),
        ("share that stays dying", "1", fitted.zombies_hz / hosts.churn_hz, blank.zombies_hz / free.churn_hz, by),
        ("share pinned by slab", "1", fitted.by_slab, blank.by_slab, _by_what(kind, rows, slab=True)),
        ("share pinned by page cache", "1", fitted.by_page_cache, blank.by_page_cache, _by_what(kind, rows)),
        ("page cache turnover", "h", hosts.turnover_s / 3600, free.turnover_s / 3600, ""),
        (
            "uptime at the first row" if steady else "such churn before the first row", "d", hosts.up_s / DAY_S,
            free.up_s / DAY_S, "" if steady else "no steady churn since boot makes these rows",
        ),
    ):  # fmt: skip
        told = _told(values, without)
        told = told and seen is not None
        yield _row(name, unit, *interval(values), told=told, note=why or ("" if told else doubt))
    if seen is not None and rows is not None:
        counted = np.isfinite(seen.dying)
        percpu = point.nr_cpu_ids * sum(memcg_percpu(point.kernel, point.nodes).values())
        for column, model in (("percpu_bytes", percpu), ("slab_bytes", kind.bytes_by_page_cache)):
            held = seen.columns.get(column)
            found = None if held is None else slope(rows.times_s, rows.dying, held[counted])
            if found is not None and math.isfinite(found[0] + found[1]):
                value, error = found[0] / 1024, found[1] / 1024
                ends = value - 1.96 * error, value + 1.96 * error
                told = error < abs(value) / 2
                note = f"this kernel's structs weigh {model / 1024:.1f} KiB"
                note = note if told else f"not told: other things of the host move it more; {note}"
                yield _row(f"{column[:-6]} per dying memcg", "KiB", value, *ends, told=told, note=note)


def _still(seen: Observed | None) -> str:
    """Return what to say where cgroups that were made were looked for, and none was."""
    made = np.full(1, np.nan) if seen is None else seen.columns.get("mkdir_hz", np.full(1, np.nan))
    if seen is None or not np.isfinite(made).any() or np.nansum(made) > 0:
        return ""
    return f"none was made in the {seen.times_s[-1]:g} s looked at: by what is dying and how long the host is up"


def _by_what(kind: Kind, rows: Observations | None, *, slab: bool = False) -> str:
    if not kind.pinning.slab:
        return "slab pins no memcg on this kernel" if slab else ""
    if rows is None or rows.slab_bytes is None:
        return "what pins is not told apart: slab_bytes beside a number of dying memcgs that changes would"
    value, error = rows.slab_bytes
    apart = kind.bytes_by_slab - kind.bytes_by_page_cache
    return (
        ""
        if 2 * error < apart
        else f"what pins is not told apart: slab per dying memcg is {value:.0f} +- {2 * error:.0f} B"
    )


def _told(values: np.ndarray, without: np.ndarray) -> bool:
    """Whether an interval of logarithms is less than half as wide as without data."""
    (_, low, high), (_, lowest, highest) = interval(values), interval(without)
    tiny = 1e-12
    return bool(math.log((high + tiny) / (low + tiny)) < TOLD * math.log((highest + tiny) / (lowest + tiny)))


def _row(
    quantity: str, unit: str, estimate: float | None, low: float | None = None, high: float | None = None, *,
    told: bool, note: str = "",
) -> dict[str, Any]:  # fmt: skip
    values = {"estimate": estimate, "low": estimate if low is None else low, "high": estimate if high is None else high}
    return {"quantity": quantity, "unit": unit, **values, "told": told, "note": note}


def told_of(row: Mapping[str, Any]) -> str:
    """Return a row of the fit as a line."""
    unit = "" if row["unit"] in ("", "1") else f" {row['unit']}"
    ends = "" if row["low"] == row["high"] else f" ({row['low']:.3g} to {row['high']:.3g})"
    value = "" if row["estimate"] is None else f" {row['estimate']:.3g}{ends}{unit}"
    return f"{row['quantity']}{value}" + (f": {row['note']}" if row["note"] else "")
