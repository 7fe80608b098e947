"""The live backend: the churn on this node's own kernel, in a cgroup of its own, and what accounting costs here."""

from __future__ import annotations

import json
import math
import os
import platform
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from core.workload import TmpfsProgram
from sweep.config.schema import build
from sweep.engine.store import Store
from sweep.errors import InputError
from sweep.jobs.crossover import half_width
from sweep.real import churn, observe, place

LIMIT_S = 120.0  # of one churn
SETTLE_S = 0.5  # grace periods after the last rmdir
COST_ROUNDS = 5  # of every cost
METERED = ("percpu_bytes", "slab_bytes", "sreclaimable_bytes", "sunreclaim_bytes")
POINTS = {
    "source": (pa.string(), "1", "live: the node's own kernel"),
    "kernel": (pa.string(), "1", "release"),
    "cpus": (pa.int64(), "1", "CPUs online"),
    "cgroup_version": (pa.int64(), "1", "1 or 2"),
    "workload": (pa.string(), "1", "keepN: files that each cgroup keeps; keep0 is the control"),
    "cgroups": (pa.int64(), "1", "made and removed one after the other"),
    "replicate": (pa.int64(), "1", "number of the run"),
    "us_per_cgroup": (pa.float64(), "us", "from one mkdir to the next"),
    **{
        f"{name}_{when}": (pa.float64(), unit, f"{doc}, {when} the churn")
        for name, unit, doc in (
            ("dying_memcgs", "1", "dying memcgs (v1: of the whole host); null where they cannot be counted"),
            *((name, "B", f"{name[:-6]} of /proc/meminfo, of the whole host") for name in METERED),
            ("objects_bytes", "B", "objects in use in caches that the program touches; null without /proc/slabinfo"),
        )
        for when in ("before", "after")
    },
}
COSTS = {
    "kernel": (pa.string(), "1", "release"),
    "operation": (pa.string(), "1", "system calls of one operation"),
    "processes": (pa.int64(), "1", "pinned to a CPU each, at work at once"),
    "round": (pa.int64(), "1", "number of the measurement"),
    "accounted_ns": (pa.float64(), "ns", "per operation in a cgroup: least chunk, mean over CPUs"),
    "unaccounted_ns": (pa.float64(), "ns", "the same in the root, which is not charged; null where it is not ours"),
    "accounted_median_ns": (pa.float64(), "ns", "median chunk in a cgroup"),
    "unaccounted_median_ns": (pa.float64(), "ns", "median chunk in the root"),
}
TOUCHED = ("dentry", "shmem_inode_cache", "kernfs_node_cache", "kmalloc-", "mem_cgroup", "cgroup", "percpu")


@dataclass(frozen=True)
class Live:
    """A position is a churn with its control, or the cost on so many CPUs. Every measurement is a run of its own."""

    program: TmpfsProgram
    replicates: int
    inputs: str
    tables = ("costs", "points")
    grains = (1,)
    per_node = True

    def positions(self, nodes: int) -> int:  # noqa: ARG002 (one node is asked)
        """Return one: the node measures alone, one thing after the other."""
        return 1

    def count(self) -> int:
        """Return the number of churns."""
        return 2 * self.replicates

    def features(self, position: int) -> tuple[float, ...]:  # noqa: ARG002 (there is one)
        """Return nothing that a cost could depend on."""
        return ()

    def settings(self, position: int) -> Mapping[str, Any]:
        """Return which node a position is."""
        return {"node": position}

    def work(self, start: int, stop: int) -> dict[str, pa.Table]:  # noqa: ARG002 (there is one)
        """Measure; return a row a churn and a row a cost."""
        where = place.find()
        place.affordable(self.program.cgroups)
        with place.working_in(where) as (base, files):
            points = [
                self._churned(where, base, files, keep, replicate)
                for replicate in range(self.replicates)
                for keep in (0, self.program.keep)
            ]
            costs = [row for round_ in range(COST_ROUNDS) for row in _costs(where, base, files, round_)]
        return {"points": _landed(points, POINTS), "costs": _landed(costs, COSTS)}

    def told(self, store: Store) -> Iterator[str]:
        """Yield the churn and the costs, each with its 95 % interval over repeats."""
        points = [row for name in store.names("points") for row in store.read(f"points/{name}").to_pylist()]
        costs = [row for name in store.names("costs") for row in store.read(f"costs/{name}").to_pylist()]
        kept = f"keep{self.program.keep}"
        for name in ("dying_memcgs", "objects_bytes", "slab_bytes", "percpu_bytes"):
            grown = {
                workload: np.array([_grown(row, name) for row in points if row["workload"] == workload], dtype=float)
                for workload in ("keep0", kept)
            }
            each = (grown[kept] - grown["keep0"]) / self.program.cgroups
            if np.isnan(each).any():
                yield f"{name} per removed cgroup: not measured (null): see the column's meaning"
            else:
                yield f"{name} per removed cgroup: {each.mean():.4g}{_plus_minus(each)}, {kept} less keep0"
        for operation in churn.OPERATIONS:
            for processes in sorted({row["processes"] for row in costs}):
                rows = [row for row in costs if (row["operation"], row["processes"]) == (operation, processes)]
                if any(row["unaccounted_ns"] is None for row in rows):
                    yield f"{operation}: not compared (null), since the root cgroup is not ours to enter"
                    continue
                more = np.array([row["accounted_ns"] - row["unaccounted_ns"] for row in rows])
                least = min(row["unaccounted_ns"] for row in rows)
                costs_ns = f"{more.mean():.0f}{_plus_minus(more)} ns more"
                yield f"{operation} on {processes} CPUs: accounted {costs_ns} than the root's {least:.0f}"

    def _churned(self, where: place.Place, base: Path, files: Path, keep: int, replicate: int) -> dict[str, Any]:
        made = files / f"{replicate}-{keep}"
        made.mkdir()
        before = _read(where, base)
        program = {name: getattr(self.program, name) for name in ("cgroups", "files", "warm_ms")}
        asked = {"do": "churn", "base": str(base), "files_in": str(made), "keep": keep, "limit_s": LIMIT_S, **program}
        done = _run(asked)
        time.sleep(SETTLE_S)
        after = _read(where, base)
        return {
            "source": "live",
            "kernel": platform.release(),
            "cpus": os.cpu_count(),
            "cgroup_version": where.version,
            "workload": f"keep{keep}",
            "cgroups": self.program.cgroups,
            "replicate": replicate,
            "us_per_cgroup": done["us_per_cgroup"],
            **{f"{name}_before": value for name, value in before.items()},
            **{f"{name}_after": value for name, value in after.items()},
        }


def job(config: Mapping[str, Any]) -> Live:
    """Return the job of a config; the node's place is looked for at once, so that a user learns it in one line."""
    tmpfs = config["workload"]["tmpfs"]
    if tmpfs is None:
        raise InputError(
            f"workload must be one that a real kernel runs (got {config['workload']['name']!r}); use tmpfs_churn"
        )
    program = build(TmpfsProgram, tmpfs, "workload.tmpfs.")
    if (program.hold, program.data_kib) != ("files", 0):
        raise InputError(
            f"workload.tmpfs.hold must be files without data on a live kernel (got {program.hold!r}); use vm"
        )
    place.find()
    place.affordable(program.cgroups)
    return Live(program, config["replicates"], datetime.now(UTC).isoformat())


def _run(asked: Mapping[str, Any]) -> Any:
    line = [sys.executable, "-I", churn.__file__, json.dumps(asked)]
    done = subprocess.run(line, capture_output=True, text=True, timeout=2 * LIMIT_S)  # noqa: PLW1510 (our own file)
    if done.returncode:
        raise OSError(f"on the live kernel: {done.stderr.strip() or done.returncode}")
    return json.loads(done.stdout)


def _costs(where: place.Place, base: Path, files: Path, round_: int) -> Iterator[dict[str, Any]]:
    cgroup = base / "cost"
    cgroup.mkdir(exist_ok=True)
    places = {"accounted": str(cgroup)} | ({} if where.root is None else {"unaccounted": str(where.root)})
    usable = sorted(os.sched_getaffinity(0))
    for processes in sorted({1, len(usable)}):
        found = _run({"do": "cost", "cpus": usable[:processes], "places": places, "files_in": str(files)})["cpus"]
        for operation in churn.OPERATIONS:
            row = {"kernel": platform.release(), "operation": operation, "processes": processes, "round": round_}
            for name in places:
                chunks = [each[operation][name] for each in found]
                row[f"{name}_ns"] = float(np.mean([min(each) for each in chunks]))
                row[f"{name}_median_ns"] = float(np.median(np.concatenate(chunks)))
            yield row
    cgroup.rmdir()


def _read(where: place.Place, base: Path) -> dict[str, float | None]:
    row = observe.sample("/", observe.hierarchy("/"))
    found: dict[str, float | None] = {name: _number(row[name]) for name in METERED}
    if where.version == 2:
        found["dying_memcgs"] = _number(
            observe.pairs(observe.read("/", f"{base}/cgroup.stat")).get("nr_dying_descendants")
        )
    else:
        number, top = _number(row["num_cgroups"]), observe.Directories(observe.hierarchy("/").path).number
        found["dying_memcgs"] = None if number is None or top is None else number - top
    found["objects_bytes"] = _objects()
    return found


def _objects() -> float | None:
    """Bytes in use in the caches that the program touches; None where /proc/slabinfo is not ours to read."""
    lines = observe.read("/", "proc/slabinfo").splitlines()[2:]
    rows = [line.split() for line in lines]
    held = [int(row[1]) * int(row[3]) for row in rows if row[0].startswith(TOUCHED)]
    return float(sum(held)) if held else None


def _number(value: object) -> float | None:
    return None if value is None else float(str(value))


def _grown(row: Mapping[str, Any], name: str) -> float:
    before, after = row[f"{name}_before"], row[f"{name}_after"]
    return math.nan if before is None or after is None else after - before


def _plus_minus(values: np.ndarray) -> str:
    return f" +-{half_width(values):.2g}" if values.size > 1 else " (one run: no interval)"


def _landed(rows: list[dict[str, Any]], columns: Mapping[str, tuple[pa.DataType, str, str]]) -> pa.Table:
    fields = [pa.field(name, kind, metadata={"unit": unit, "doc": doc}) for name, (kind, unit, doc) in columns.items()]
    return pa.Table.from_pylist(rows, pa.schema(fields))
