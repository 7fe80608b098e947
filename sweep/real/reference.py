"""A run on real kernels as a reference: what it lists, in the form of the tables of `conf/figures`."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from statistics import fmean
from typing import Any

import pyarrow.dataset as ds

from core.profile import KernelProfile
from sweep.config.records import build
from sweep.errors import InputError, first_line
from sweep.folder import MANIFEST

ReadTables = dict[str, list[dict[str, str]]]
PROGRAM_KEYS = ("cgroups", "files", "keep", "warm_ms", "data_kib", "hold", "pin")


def is_run(folder: Path) -> bool:
    """Return whether a folder is a run's."""
    return (folder / MANIFEST).is_file()


def read_run(folder: Path) -> tuple[ReadTables, dict[str, KernelProfile]]:
    """Return the tables that a run on real kernels stands for, and the profile of each of its kernels.

    `vm_memory` has the removed cgroups that were in flight, `ftrace_calls` the guest's pace: of the run, not fitted.
    Raises InputError if the run is of another kind, or has not ended.
    """
    manifest = json.loads((folder / MANIFEST).read_text())
    if "real" not in manifest or manifest["state"] == "running":
        raise InputError(
            f"reference must be a folder of tables, or an ended run of +experiment=truth (got {str(folder)!r}); see "
            "docs/real_kernels.md"
        )
    points = [row for row in _rows(folder, "points") if row["source"] != "model"]
    if not points:
        raise InputError(f"reference must have rows of a real kernel (got {str(folder)!r}); run it with backend=vm")
    try:
        profiles = {
            kernel["name"]: build(KernelProfile, kernel["profile"], "kernel.") for kernel in manifest["real"]["kernels"]
        }
    except ValueError as error:
        raise InputError(
            f"reference must be a run of this version (got {str(folder)!r}: {first_line(error)}); run it again"
        ) from error
    churned = [row for row in points if row["measure"] == "churn"]
    tables: ReadTables = {
        "kernels": [{"kernel": name, "profile": profile.name} for name, profile in profiles.items()],
        "workloads": _workloads(churned),
        "vm_memory": _memory(churned),
        "ftrace_calls": _calls(row for row in _rows(folder, "calls") if row["source"] != "model"),
    }
    return tables, profiles


def _rows(folder: Path, table: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = ds.dataset(sorted((folder / table).glob("*.parquet"))).to_table().to_pylist()
    return rows


def _workloads(points: Iterable[dict[str, Any]]) -> list[dict[str, str]]:
    found = {}
    for row in points:
        kept, _, rest = row["workload"].partition("-")
        control = "-".join(["keep0", rest]).rstrip("-") if kept != "keep0" else ""
        found[row["workload"]] = {"control": control} | {name: str(row[name]) for name in PROGRAM_KEYS}
    return [{"workload": name} | row for name, row in found.items()]


def _memory(points: Iterable[dict[str, Any]]) -> list[dict[str, str]]:
    flying: dict[tuple[str, str, str], list[float]] = defaultdict(list)
    for row in points:
        seen = row["in_flight_memcgs"]
        flying[row["kernel"], str(row["cpus"]), row["workload"]] += [] if seen is None else [seen]
    return [
        {"kernel": kernel, "cpus": cpus, "workload": workload, "in_flight": repr(fmean(seen)) if seen else ""}
        for (kernel, cpus, workload), seen in flying.items()
    ]


def _calls(calls: Iterable[dict[str, Any]]) -> list[dict[str, str]]:
    """A row for each phase of each boot, with its pace."""
    found: dict[tuple[Any, ...], dict[str, str]] = {}
    for row in calls:
        if row["phase"] == "idle":
            continue
        phase = f"pipe{row['operations']}" if row["phase"] == "pipe" else row["phase"]
        at = {"kernel": row["kernel"], "cpus": str(row["cpus"]), "depth": str(row["depth"]), "phase": phase}
        at["run"] = str(row["replicate"])
        pace = {"us_per_operation": repr(row["guest_us_per_operation"])}
        found[tuple(at.values())] = at | {"files": str(row["counted_files"])} | pace
    return list(found.values())
