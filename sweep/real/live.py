"""The live backend: the churn on this node's own kernel, in a cgroup of its own, and what accounting costs here."""

from __future__ import annotations

import functools
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np

from core.params import Point
from sweep.calibrate.kernel_path import keep_path_price, price_line
from sweep.engine.store import Store
from sweep.errors import InputError
from sweep.jobs.crossover import half_width
from sweep.real import churn, observe, place
from sweep.real.cases import Case
from sweep.real.kernels import here
from sweep.real.rows import MEMORY_FIGURES, Row, Slab

LIMIT_S = 120.0  # of one churn
SETTLE_S = 0.5  # grace periods after the last rmdir
COST_ROUNDS = 5  # of every cost
INSTEAD = {"churn": "churn", "counts": "cost"}  # by vm.measure: probes count the whole host's calls
FIXED = ("cpus", "depth", "cgroup_version")  # of a point, by the node
OBJECTS = {"open+close": 1, "pipe": 6, "socketpair": 8, "create+unlink": 3}  # charged slab objects of an operation
METERED = {name: f"{name.removesuffix('_kib')}_bytes" for name in MEMORY_FIGURES if name.endswith("_kib")}
TOUCHED = ("dentry", "shmem_inode_cache", "kernfs_node_cache", "mem_cgroup")  # kmalloc's are everybody's
SAME_HOST = "backend=live must run on the node that it was started on; use cluster=local or cluster=inline"


def fixed(where: place.Place) -> dict[str, int]:
    """Return the fields of a point that this node decides."""
    return {"cpus": os.cpu_count() or 1, "depth": where.depth, "cgroup_version": where.version}


@functools.cache
def churn_digest() -> str:
    """Name the program by its source: 12 hex digits."""
    return blake2b(Path(churn.__file__).read_bytes(), digest_size=6).hexdigest()


def about_s(case: Case) -> float:
    """Return about how long a measurement takes."""
    if case.measure == "cost":
        return 10.0
    return SETTLE_S + case.program.cgroups * (case.program.warm_ms + 5 + case.program.files) / 1000


def refuse_unfit(case: Case) -> None:
    """Refuse, in one line and before anything is made, what this node cannot or should not run."""
    program = case.program
    for name, only in (("hold", "files"), ("data_kib", 0), ("pin", "none")):
        if (got := getattr(program, name)) != only:
            raise InputError(f"workload.tmpfs.{name} must be {only} on a live kernel (got {got!r}); use backend=vm")
    if case.measure == "churn" and about_s(case) > LIMIT_S:
        raise InputError(
            f"workload.tmpfs.cgroups must be done in {LIMIT_S:g} s on a live kernel (got {program.cgroups}, about "
            f"{about_s(case):.0f} s); lower it"
        )
    place.affordable(program.cgroups, program.cgroups * min(program.keep, program.files))


def measure(row: Row, usual: Point) -> None:
    """Fill in a row from this node's kernel, and keep what accounting costs for its price table.

    Raises OSError, in one line, if the program fails.
    """
    if here().sha256 != row.kernel.sha256:
        raise InputError(SAME_HOST)
    where, began = place.find(), time.monotonic()
    refuse_unfit(row.case)
    with place.working_in(where) as (base, files):
        if row.case.measure == "cost":
            row.costs = [cost for number in range(COST_ROUNDS) for cost in _costs(where, base, files, number)]
            case = row.case
            point = replace(usual, kernel=row.profile, depth=case.depth, cgroup_version=case.cgroup_version)
            keep_path_price(row.costs, point)
        else:
            _churn(row, where, base, files)
    row.settings |= {"host_s": time.monotonic() - began, "program_sha256": churn_digest()}


def told_live(store: Store) -> Iterator[str]:
    """Yield the churn and the costs of a live kernel, each with its 95 % interval over repeats; nothing without one."""
    points, slabs, costs = (
        [row for name in store.names(table) for row in store.read(f"{table}/{name}").to_pylist()]
        for table in ("points", "slabs", "costs")
    )
    churned = [row for row in points if row["source"] == "live" and row["measure"] == "churn"]
    objects: dict[str, float] = {}
    for slab in slabs:
        if slab["source"] == "live" and slab["kmem_cache"].startswith(TOUCHED):
            grown = slab["active_objects_after"] - slab["active_objects_before"]
            objects[slab["point_id"]] = objects.get(slab["point_id"], 0) + grown * slab["object_bytes"] / 1024
    for row in churned:
        row |= {"objects_kib_before": 0.0, "objects_kib_after": objects.get(row["point_id"])}
    for kept in sorted({row["workload"] for row in churned if row["keep"]}):
        yield from _told_of(kept, churned)
    yield from _told_costs(costs)
    if costs:
        yield price_line()


def _told_of(kept: str, churned: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    _, _, rest = kept.partition("-")
    control = "-".join(["keep0", rest]).rstrip("-")
    for name in ("dying_memcgs", "objects_kib", "slab_kib", "percpu_kib"):
        grown = [_per_cgroup(name, [row for row in churned if row["workload"] == each]) for each in (kept, control)]
        if any(np.isnan(each).any() or not each.size for each in grown):
            yield f"{name} per removed cgroup: not measured (null), this node does not say"
            continue
        mean = grown[0].mean() - grown[1].mean()
        yield f"{name} per removed cgroup: {mean:.4g}{_plus_minus(grown[0] - grown[1])}, {kept} less {control}"


def _told_costs(costs: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    for operation, processes in dict.fromkeys((row["operation"], row["processes"]) for row in costs):
        rows = [row for row in costs if (row["operation"], row["processes"]) == (operation, processes)]
        if any(row["unaccounted_ns"] is None for row in rows):
            yield f"{operation}: not compared (null), since the root cgroup is not ours to enter"
            continue
        more = np.array([row["accounted_ns"] - row["unaccounted_ns"] for row in rows])
        least = min(row["unaccounted_ns"] for row in rows)
        yield (
            f"{operation} on {processes} CPU{'s' * (processes > 1)}: accounted {more.mean():.0f}{_plus_minus(more)} ns "
            f"more than the root's {least:.0f}"
        )


def _per_cgroup(name: str, rows: Sequence[Mapping[str, Any]]) -> np.ndarray:
    ends = [(row[f"{name}_before"], row[f"{name}_after"], row["cgroups"]) for row in rows]
    return np.array([np.nan if None in end else (end[1] - end[0]) / end[2] for end in ends])


def _plus_minus(values: np.ndarray) -> str:
    return f" +-{half_width(values):.2g}" if values.size > 1 else " (one run: no interval)"


def _churn(row: Row, where: place.Place, base: Path, files: Path) -> None:
    names = ("cgroups", "files", "keep", "warm_ms")
    program = {name: getattr(row.case.program, name) for name in names}
    before, slabs_before = _memory(where, base), _slabs()
    done = _run({"do": "churn", "base": str(base), "files_in": str(files), "limit_s": LIMIT_S, **program})
    time.sleep(SETTLE_S)
    after, slabs_after = _memory(where, base), _slabs()
    row.memory = {name: (before[name], after[name]) for name in MEMORY_FIGURES}
    for name, (active, total, *geometry) in slabs_after.items():
        held = slabs_before.get(name, (0, 0))
        row.slabs[name] = Slab(geometry[0], geometry[1], geometry[2], (held[0], held[1]), (active, total))
    row.settings = {
        "in_flight_memcgs": done["in_flight"],
        "guest_us_per_cgroup": done["us_per_cgroup"],
        "guest_us_per_object": done["us_per_object"],
    }


def _run(asked: Mapping[str, Any]) -> Any:
    line = [sys.executable, "-I", churn.__file__, json.dumps(asked)]
    done = subprocess.run(line, capture_output=True, text=True, timeout=2 * LIMIT_S)  # noqa: PLW1510 (our own file)
    if done.returncode:
        raise OSError(f"on the live kernel: {done.stderr.strip() or done.returncode}")
    return json.loads(done.stdout)


def _costs(where: place.Place, base: Path, files: Path, number: int) -> Iterator[dict[str, Any]]:
    cgroup = base / "cost"
    cgroup.mkdir(exist_ok=True)
    places = {"accounted": str(cgroup)} | ({} if where.root is None else {"unaccounted": str(where.root)})
    usable = sorted(os.sched_getaffinity(0))
    for processes in sorted({1, len(usable)}):
        found = _run({"do": "cost", "cpus": usable[:processes], "places": places, "files_in": str(files)})["cpus"]
        for operation, objects in OBJECTS.items():
            cost: dict[str, Any] = {"operation": operation, "processes": processes, "round": number, "objects": objects}
            for name in places:
                chunks = [each[operation][name] for each in found]
                cost[f"{name}_ns"] = float(np.mean([min(each) for each in chunks]))
                cost[f"{name}_median_ns"] = float(np.median(np.concatenate(chunks)))
            yield cost
    cgroup.rmdir()


def _memory(where: place.Place, base: Path) -> dict[str, float | None]:
    row = observe.sample("/", observe.hierarchy("/"))
    found: dict[str, float | None] = {
        name: None if (value := row[column]) is None else float(str(value)) / 1024 for name, column in METERED.items()
    }
    if where.version == 2:
        stat = observe.pairs(observe.read("/", f"{base}/cgroup.stat"))
        dying = stat.get("nr_dying_descendants")
    else:
        number, top = row["num_cgroups"], observe.Directories(observe.hierarchy("/").path).number
        dying = None if number is None or top is None else int(str(number)) - top
    found["dying_memcgs"] = None if dying is None else float(dying)
    of_caches = Path("/sys/kernel/slab")
    found["memcg_kmem_caches"] = float(len(list(of_caches.glob("*/cgroup/*")))) if of_caches.is_dir() else None
    return found


def _slabs() -> dict[str, tuple[int, ...]]:
    """Active and total objects, bytes and objects of a slab, its pages, by kmem_cache; nothing where only root may."""
    lines = observe.read("/", "proc/slabinfo").splitlines()[2:]
    return {fields[0]: tuple(map(int, fields[1:6])) for fields in map(str.split, lines)}
