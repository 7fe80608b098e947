"""The host job: fit one host to what was seen of it, and say what it will hold, on its kernel and on newer ones.

A position is a draw of the fit: one host that may be yours, with its own events, which every kernel sees. So what an
upgrade gives back is a paired difference, and its interval holds both what is unknown and what is chance.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from hydra.core.hydra_config import HydraConfig

from core.columns import Column
from core.designs import DESIGNS
from core.keys import resolved
from core.lifecycle.age import age
from core.lifecycle.leftovers import DYING
from core.lifecycle.memory import METERS
from core.lifecycle.weights import weigh
from core.observed.fit import Fitted, chance_of, described, fit, unseen
from core.observed.mean_field import Hosts, Pinning, leaves
from core.params import Point
from core.workload import PAGE_CACHE, Workload
from sweep.config import observed
from sweep.config.observed import HELD_BACK, Observed
from sweep.config.options import composed_with
from sweep.config.records import build
from sweep.config.schema import PLANNED
from sweep.engine.progress import say
from sweep.errors import InputError, remark
from sweep.jobs.host_fit import FIT_COLUMNS, kind_of, rows_of_fit, rows_seen, told_of

MIB, DAY_S = 2**20, 86400.0
AHEAD_D = (0.0, 7.0, 30.0)  # days from now that are always forecast
HOSTS_DRAWN = 100  # hosts that are simulated
MOST_LEAVING = 1e6  # memcgs of a draw that leave something: they are simulated one by one
UNLIKELY = 1e-4  # chance of rows below which churn has not been the same since boot
PAST = 6.0  # times the longest stay: what came and went before has left nothing

FORECAST_COLUMNS = {
    "draw": Column("int64", "1", "host that may be yours; kernels of one draw see the same events"),
    "kernel": Column("str", "1", "kernel profile"),
    "design": Column("str", "1", "accounting design of the kernel"),
    "step": Column("int64", "1", "0: the host's own kernel; then the upgrade steps in order"),
    "ahead_d": Column("float64", "d", "days from the last row that counts"),
    "dying_memcgs": Column("float64", "1", "dying memcgs; on the host's own kernel from what was counted on"),
    "dead_bytes": Column("float64", "B", "memory that gone memcgs hold"),
    "total_bytes": Column("float64", "B", "memory of all memcgs and their slab, live and gone"),
    "held_back": Column("float64", "1", "dying memcgs that the CSV held back from the fit; null if it did not"),
}
ARROW_OF_DTYPE = {"str": pa.string(), "float64": pa.float64(), "int64": pa.int64(), "bool": pa.bool_()}


@dataclass(frozen=True)
class HostJob:
    """Simulates the draws of a fit on the host's kernel and on newer ones."""

    points: tuple[Point, ...]  # the host on each kernel, its own first
    fitted: Fitted
    now_s: float  # since the first row
    ahead_d: tuple[float, ...]  # days from now
    held_back: Mapping[str, tuple[float | None, ...]]  # by kernel ('': the host's own), at these days
    counted: float | None  # dying memcgs now; None where they were not counted
    fits: tuple[dict[str, Any], ...]  # rows of the table `fit`
    inputs: str
    tables = ("fit", "forecast")
    grains = (1,)
    per_node = False

    def positions(self, nodes: int) -> int:  # noqa: ARG002 (draws are draws)
        """Return the number of draws."""
        return self.fitted.zombies_hz.size

    def count(self) -> int:
        """Return the number of draws times kernels."""
        return self.positions(1) * len(self.points)

    def features(self, position: int) -> tuple[float, ...]:
        """Return the logarithm of how many memcgs come and go."""
        return (math.log(1.0 + float(self.fitted.hosts.churn_hz[position]) * self._point(position, 0).duration_s),)

    def settings(self, position: int) -> Mapping[str, Any]:
        """Return which host a draw is."""
        return {"draw": position} | {
            name: float(values[position]) for name, values in self.fitted.hosts._asdict().items()
        }

    def work(self, start: int, stop: int) -> dict[str, pa.Table]:
        """Return the forecasts of some draws; with the first, the fit."""
        rows = [row for draw in range(start, stop) for row in self._forecast(draw)]
        fits = list(self.fits) if start == 0 else []
        return {"fit": _table(fits, FIT_COLUMNS), "forecast": _table(rows, FORECAST_COLUMNS)}

    def told(self, store: Any) -> Iterator[str]:  # noqa: ARG002 (the fit is known before anything lands)
        """Yield what was fitted, a line a quantity."""
        for row in self.fits:
            yield told_of(row)

    def _point(self, draw: int, step: int) -> Point:
        point, hosts = self.points[step], self.fitted.hosts
        ahead_s = max(self.ahead_d) * DAY_S
        return replace(
            point,
            churn_hz=float(hosts.churn_hz[draw]),
            workload=scaled(point.workload, hosts, draw),
            duration_s=float(hosts.up_s[draw]) + self.now_s + ahead_s,
            replicate=draw,
        )

    def _forecast(self, draw: int) -> Iterator[dict[str, Any]]:
        points = [self._point(draw, step) for step in range(len(self.points))]
        _, series = age(points)
        now_s = float(self.fitted.hosts.up_s[draw]) + self.now_s
        at_s = np.append(now_s + np.array(self.ahead_d) * DAY_S, now_s)
        for step, point in enumerate(points):
            mine = series["kernel"] == point.kernel.name
            t_s = np.append(0.0, series["t_s"][mine].astype(np.float64))
            held = {
                "dead": series["dead_bytes"],
                "total": np.sum([series[f"{meter}_bytes"] for meter in METERS], axis=0),
            }
            held |= {"dying": series["dying_memcgs"]}
            at = {name: np.interp(at_s, t_s, np.append(0, values[mine])) for name, values in held.items()}
            if step == 0 and self.counted is not None:
                _anchor(at, self.counted, float(weigh(point, DESIGNS[point.design]).counted[:, :, DYING].sum()))
            back = self.held_back.get(point.kernel.name if step else "", (None,) * len(self.ahead_d))
            for number, days in enumerate(self.ahead_d):
                yield {
                    "draw": draw,
                    "kernel": point.kernel.name,
                    "design": point.design,
                    "step": step,
                    "ahead_d": days,
                    "dying_memcgs": float(at["dying"][number]),
                    "dead_bytes": float(at["dead"][number]),
                    "total_bytes": float(at["total"][number]),
                    "held_back": back[number],
                }


def _anchor(at: dict[str, np.ndarray], counted: float, each_bytes: float) -> None:
    """Let a simulation go on from what was counted now, its last value; a memcg keeps its weight, or `each_bytes`."""
    dying = at["dying"]
    seen = np.maximum(counted + dying - dying[-1], 0.0)
    each = np.where(dying > 0, at["dead"] / np.maximum(dying, 1.0), each_bytes)
    at["total"] = at["total"] - at["dead"] + seen * each
    at["dead"], at["dying"] = seen * each, seen


def job(config: Mapping[str, Any]) -> HostJob:
    """Return the job of a config: `observed` is the CSV; null: the host is what the keys say."""
    seen = observed.read_observed(config["observed"]) if config["observed"] is not None else None
    given = {each.partition("=")[0].lstrip("+") for each in HydraConfig.get().overrides.task}
    kernels = _kernels(seen, given, config["upgrades"])
    points = tuple(_point(name, given, seen) for name in kernels)
    own = points[0]
    turnover_s = _turnover_s(own.workload, seen)
    kind = kind_of(own)
    rows = None if seen is None else rows_seen(seen, own, given)
    seed = int(config["seed"])
    if rows is None:
        free = unseen(own.workload, turnover_s, kind, seed, HOSTS_DRAWN).hosts
        as_said = {"churn_hz": own.churn_hz, "up_s": own.duration_s}
        hosts = free._replace(**{name: np.full(HOSTS_DRAWN, value) for name, value in as_said.items()})
        fitted, now_s = described(own.workload, kind, hosts), 0.0
    else:
        say(f"fitting {rows.times_s.size} rows of {config['observed']}")
        fitted, now_s = fit(own.workload, turnover_s, kind, rows, seed, HOSTS_DRAWN), float(rows.times_s[-1])
        if rows.up_s is not None and chance_of(own.workload, kind, rows, fitted.hosts) < UNLIKELY:
            say("no steady churn since boot makes these rows; fitting since when there has been such churn")
            rows = replace(rows, up_s=None)
            fitted = fit(own.workload, turnover_s, kind, rows, seed, HOSTS_DRAWN)
    content = b"" if seen is None else Path(seen.path).read_bytes()
    ahead = _ahead(seen, now_s)
    return HostJob(
        points=points,
        fitted=_simulated(fitted, own),
        now_s=now_s,
        ahead_d=tuple(ahead),
        held_back=_held_back(seen, ahead),
        counted=None if rows is None or seen is None or seen.counted == "num_cgroups" else float(rows.dying[-1]),
        fits=tuple(
            {"number": number} | row
            for number, row in enumerate(rows_of_fit(own, kind, fitted, seen, rows, turnover_s, given))
        ),
        inputs=blake2b(content, digest_size=10).hexdigest(),
    )


def scaled(load: Workload, hosts: Hosts, draw: int) -> Workload:
    """Return a workload that leaves behind, and whose page cache turns over, as one of the hosts does."""
    leftovers = {}
    for name, left in load.leftovers.items():
        factor = float((hosts.page_cache if name == PAGE_CACHE else hosts.slab)[draw])
        scaled_by = {"private": left.private * factor, "chance": min(left.chance * factor, 1.0)}
        leftovers[name] = replace(left, **scaled_by, common=round(left.common * factor))
    cache_mib = load.pressure.memory_mib - load.pressure.in_use_mib
    pressure = replace(load.pressure, refill_mib_s=cache_mib / float(hosts.turnover_s[draw]))
    return replace(load, leftovers=leftovers, pressure=pressure)


def _kernels(seen: Observed | None, given: set[str], steps: Sequence[str]) -> list[str]:
    """Return the host's own profile and, in order, those of `steps` that are newer."""
    own = str(HydraConfig.get().runtime.choices["kernel"])
    if seen is not None and seen.kernel and "kernel" not in given:
        own = seen.kernel
    profiles = {name: composed_with("kernel", name)["kernel"] for name in (own, *steps)}
    newer = [name for name in steps if _version(profiles[name]) > _version(profiles[own])]
    return [own, *sorted(newer, key=lambda name: _version(profiles[name]))]


def _version(kernel: Mapping[str, Any]) -> tuple[int, ...]:
    return tuple(int(part) for part in str(kernel["version"]).split(".")[:2])


def _point(kernel: str, given: set[str], seen: Observed | None) -> Point:
    """Return the host on a kernel: what the command line says, else what was seen, else the config's defaults."""
    values = composed_with("kernel", kernel)
    fields = {field.name for field in dataclasses.fields(Point)}
    flat = {name: value for name, value in values.items() if name in fields} | {PLANNED: 0}
    if seen is not None:
        read = {"cpus": "cpus_online", "possible_cpus": "cpus_possible", "nodes": "nodes"}
        read |= {"cgroup_version": "cgroup_version"}
        known = {key: seen.last(column) for key, column in read.items() if key not in given}
        flat |= {key: int(value) for key, value in known.items() if value}
        flat["workload"] = flat["workload"] | {"pressure": _pressure(flat["workload"]["pressure"], given, seen)}
    return resolved(build(Point, flat))


def _pressure(pressure: Mapping[str, Any], given: set[str], seen: Observed) -> dict[str, Any]:
    """Return the workload's memory as it was seen: what is no page cache is in use."""
    memory, cached = seen.last("memory_bytes"), seen.last("cached_bytes")
    if memory and "workload.pressure.memory_mib" not in given:
        share = pressure["in_use_mib"] / pressure["memory_mib"]
        in_use = share * memory if not cached else memory - cached
        pressure = {**pressure, "memory_mib": memory / MIB, "in_use_mib": in_use / MIB}
    return dict(pressure)


def _turnover_s(load: Workload, seen: Observed | None) -> float:
    """Return how long the page cache takes to turn over: what was read since boot, else as the workload says."""
    cache_mib = load.pressure.memory_mib - load.pressure.in_use_mib
    if seen is not None and (read := seen.last("read_bytes")) and (up_s := seen.last("uptime_s")):
        return cache_mib * MIB * up_s / read
    return cache_mib / load.pressure.refill_mib_s


def _simulated(fitted: Fitted, point: Point) -> Fitted:
    """Return the draws as they are simulated: without a past that nothing is left of, and without those too dear.

    Too dear are those where more memcgs leave something than can be walked in seconds; others stand in, as is said.
    """
    load, hosts = point.workload, fitted.hosts
    turnovers = [max(left.private_turnovers, left.common_turnovers) for left in load.leftovers.values()]
    held_s = max(load.stray_task_s, *(pin.hold_s * (pin.chance > 0) for pin in vars(load.pins).values()))
    longest_s = held_s + hosts.turnover_s * max(turnovers)
    hosts = hosts._replace(up_s=np.minimum(hosts.up_s, PAST * longest_s))
    _, _, leave = leaves(load, hosts, Pinning(slab=True, page_cache=True, held=()))
    dear = leave * hosts.churn_hz * (hosts.up_s + max(AHEAD_D) * DAY_S) > MOST_LEAVING
    if dear.all():
        raise InputError(
            f"churn_hz must let fewer than {MOST_LEAVING:.0e} cgroups leave something behind (got "
            f"{float(np.median(hosts.churn_hz)):.3g}); lower it, or duration_s"
        )
    if dear.any():
        remark(f"{dear.sum()} of {dear.size} draws have too much churn to be simulated in seconds; others stand in")
    kept = np.resize(np.flatnonzero(~dear), dear.size) if dear.any() else np.arange(dear.size)
    hosts = Hosts(*(values[kept] for values in hosts))
    return Fitted(hosts, fitted.by_slab[kept], fitted.by_page_cache[kept], fitted.zombies_hz[kept])


def _ahead(seen: Observed | None, now_s: float) -> dict[float, int | None]:
    """Return the days ahead, sorted: the standing ones, and those of rows without a count, each with its row."""
    ahead: dict[float, int | None] = dict.fromkeys(AHEAD_D)
    if seen is not None:
        first = seen.times_s[np.isfinite(seen.dying)][0]
        ahead |= {(at - now_s) / DAY_S: row for row, at in enumerate(seen.times_s - first) if at > now_s}
    return dict(sorted(ahead.items()))


def _held_back(seen: Observed | None, ahead: Mapping[float, int | None]) -> dict[str, tuple[float | None, ...]]:
    """Return, by kernel, what columns such as held_back_dying and held_back_dying.linux-5.3 have at days ahead."""
    if seen is None:
        return {}
    return {
        name.removeprefix(HELD_BACK).lstrip("."): tuple(
            None if row is None or not np.isfinite(values[row]) else float(values[row]) for row in ahead.values()
        )
        for name, values in seen.columns.items()
        if name.split(".")[0] == HELD_BACK
    }


def _table(rows: list[dict[str, Any]], columns: Mapping[str, Column]) -> pa.Table:
    fields = [
        pa.field(name, ARROW_OF_DTYPE[column.dtype], metadata={"unit": column.unit, "doc": column.doc})
        for name, column in columns.items()
    ]
    return pa.Table.from_pylist(rows, pa.schema(fields))
