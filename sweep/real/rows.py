"""The tables that real kernels and the model beside them land in: read before and after, nothing subtracted."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from core.profile import KernelProfile
from sweep.real.cases import Case
from sweep.real.kernels import Kernel

TABLES = ("slabs", "calls", "costs", "points")
MEMORY_FIGURES = {  # figure -> unit, doc; a column before and one after
    "dying_memcgs": ("1", "removed memcgs that are still there (live on cgroup v1: of the whole host)"),
    "memcg_kmem_caches": ("1", "per-memcg kmem_caches"),
    "slab_kib": ("KiB", "Slab of /proc/meminfo"),
    "sunreclaim_kib": ("KiB", "SUnreclaim of /proc/meminfo"),
    "sreclaimable_kib": ("KiB", "SReclaimable of /proc/meminfo"),
    "percpu_kib": ("KiB", "Percpu of /proc/meminfo"),
}
KEYS = (  # column, type, unit, doc: what a row is of
    ("point_id", pa.string(), "1", "names the point with everything that it is measured with"),
    ("scenario_id", pa.string(), "1", "names what is run, whatever runs it: pairs rows of the model and of a kernel"),
    ("source", pa.string(), "1", "model, vm or live"),
    ("kernel", pa.string(), "1", "series, or the release that the image states"),
    ("measure", pa.string(), "1", "churn, counts (calls), or cost (of a live kernel's system calls)"),
    ("workload", pa.string(), "1", "name of the program's parameters; keep0 is the control of keep1"),
    ("cpus", pa.int64(), "1", "CPUs of the machine"),
    ("depth", pa.int64(), "1", "levels of a cgroup below the root"),
    ("cgroup_version", pa.int64(), "1", "1 or 2"),
    ("replicate", pa.int64(), "1", "number of the boot, or of the model's draw"),
)
PROGRAM_FIELDS = (
    ("cgroups", pa.int64(), "1", "made and removed one after the other"),
    ("files", pa.int64(), "1", "objects that each makes"),
    ("keep", pa.int64(), "1", "of these, kept until after the end"),
    ("warm_ms", pa.int64(), "ms", "pause before they are made"),
    ("hold", pa.string(), "1", "what they are: files, directories, pipes or sockets"),
    ("data_kib", pa.int64(), "KiB", "written into each file"),
    ("pin", pa.string(), "1", "where tasks run: none (as the scheduler likes), one or in_turn"),
    ("counted_files", pa.int64(), "1", "files of the process whose calls are counted"),
    ("counted_pipes", pa.int64(), "1", "pipes of the process whose calls are counted"),
)
SETTINGS = (
    ("design", pa.string(), "1", "how the kernel charges slab memory, by its version"),
    ("batch", pa.int64(), "pages", "MEMCG_CHARGE_BATCH, by its version"),
    ("profile", pa.string(), "1", "kernel profile of the model beside it"),
    ("kernel_release", pa.string(), "1", "release that the image states"),
    ("kernel_sha256", pa.string(), "1", "digest of the image"),
    (
        "package",
        pa.string(),
        "1",
        "Debian package, its version and start of its sha256; empty for an image of one's own",
    ),
    ("qemu", pa.string(), "1", "version of QEMU and start of its sha256"),
    ("accel", pa.string(), "1", "kvm or tcg"),
    ("program_sha256", pa.string(), "1", "digest of the initramfs with the guest program"),
    ("deterministic", pa.bool_(), "1", "whether the same point comes out the same again"),
    ("in_flight_memcgs", pa.float64(), "1", "dying memcgs while cgroups came and went, in the mean"),
    ("guest_us_per_cgroup", pa.float64(), "us", "the kernel's time of a cgroup, from mkdir to rmdir"),
    ("guest_us_per_object", pa.float64(), "us", "the kernel's time to make an object, and to remove what is not kept"),
    ("host_s", pa.float64(), "s", "time of the boot on the host, or of the measurement of a live kernel"),
    (
        "host_waited_s",
        pa.float64(),
        "s",
        "of it, how long the guest was ready to run while no core was free",
    ),
)


def _schema(fields: Sequence[tuple[str, pa.DataType, str, str]]) -> pa.Schema:
    return pa.schema([pa.field(name, kind, metadata={"unit": unit, "doc": doc}) for name, kind, unit, doc in fields])


POINTS = _schema(
    (
        *KEYS,
        *PROGRAM_FIELDS,
        *SETTINGS,
        *(
            (f"{name}_{when}", pa.float64(), unit, f"{doc}, {when} the churn")
            for name, (unit, doc) in MEMORY_FIGURES.items()
            for when in ("before", "after")
        ),
    )
)
SLABS = _schema(
    (
        *KEYS,
        ("kmem_cache", pa.string(), "1", "name in /proc/slabinfo"),
        ("object_bytes", pa.int64(), "B", "from one object to the next"),
        ("objects_per_slab", pa.int64(), "1", "objects of a slab"),
        ("pages_per_slab", pa.int64(), "pages", "pages of a slab"),
        ("active_objects_before", pa.float64(), "1", "objects in use before the churn"),
        ("active_objects_after", pa.float64(), "1", "objects in use after it"),
        ("total_objects_before", pa.float64(), "1", "objects that its slabs hold before the churn"),
        ("total_objects_after", pa.float64(), "1", "objects that its slabs hold after it"),
    )
)
CALLS = _schema(
    (
        *KEYS,
        ("phase", pa.string(), "1", "idle (the control), create, unlink or pipe"),
        ("function", pa.string(), "1", "function of the kernel"),
        ("hits_before", pa.int64(), "1", "calls counted when the phase began, on all CPUs"),
        ("hits_after", pa.int64(), "1", "calls counted when it had ended"),
        ("misses_before", pa.int64(), "1", "calls that a probe missed when the phase began"),
        ("misses_after", pa.int64(), "1", "calls that a probe missed when it had ended"),
        ("counted_files", pa.int64(), "1", "files of the process whose calls are counted"),
        ("operations", pa.int64(), "1", "files or pipes of the phase"),
        ("guest_us_per_operation", pa.float64(), "us", "guest time of each, with the probes"),
    )
)
COSTS = _schema(
    (
        *KEYS,
        ("operation", pa.string(), "1", "system calls of one operation"),
        ("processes", pa.int64(), "1", "pinned to a CPU each, at work at once"),
        ("round", pa.int64(), "1", "number of the repeat"),
        ("accounted_ns", pa.float64(), "ns", "per operation in a cgroup: least chunk, mean over CPUs"),
        ("unaccounted_ns", pa.float64(), "ns", "the same in the root, which is not charged; null where it is not ours"),
        ("accounted_median_ns", pa.float64(), "ns", "median chunk in a cgroup"),
        ("unaccounted_median_ns", pa.float64(), "ns", "median chunk in the root"),
        ("objects", pa.int64(), "1", "slab objects that an operation charges, and frees again"),
    )
)
SCHEMAS = {"slabs": SLABS, "calls": CALLS, "costs": COSTS, "points": POINTS}


@dataclass
class Slab:
    """One kmem_cache; objects are (active, total), None where nobody looked."""

    object_bytes: int
    objects_per_slab: int
    pages_per_slab: int
    before: tuple[float | None, float] = (0, 0)
    after: tuple[float | None, float] = (0, 0)


@dataclass
class Call:
    """One function in one phase; hits and misses."""

    before: tuple[int, int]
    after: tuple[int, int]


@dataclass
class Row:
    """One point: what it is, and what a kernel or the model says of it."""

    case: Case
    point_id: str
    workload: str
    kernel: Kernel
    profile: KernelProfile
    deterministic: bool
    memory: dict[str, tuple[float | None, float | None]] = field(default_factory=dict)  # of MEMORY_FIGURES
    slabs: dict[str, Slab] = field(default_factory=dict)  # by kmem_cache
    calls: dict[tuple[str, str], Call] = field(default_factory=dict)  # by phase and function
    operations: dict[str, tuple[int, float | None]] = field(default_factory=dict)  # by phase: how many, and us of each
    costs: list[dict[str, Any]] = field(default_factory=list)  # columns of COSTS but KEYS, of each repeat
    settings: dict[str, Any] = field(default_factory=dict)  # columns of SETTINGS that the source knows


def tables_of(rows: Sequence[Row]) -> dict[str, pa.Table]:
    """Return the tables of some rows."""
    found = {"points": [_point(row) for row in rows]}
    found["slabs"] = [slab for row in rows for slab in _slabs(row)]
    found["calls"] = [call for row in rows for call in _calls(row)]
    found["costs"] = [_keys(row) | cost for row in rows for cost in row.costs]
    return {name: pa.Table.from_pylist(found[name], SCHEMAS[name]) for name in TABLES}


def _keys(row: Row) -> dict[str, Any]:
    case = row.case
    known = {"point_id": row.point_id, "scenario_id": case.scenario_id, "workload": row.workload}
    return known | {name: getattr(case, name) for name, *_ in KEYS if name not in known}


def _point(row: Row) -> dict[str, Any]:
    settings = {
        "design": row.profile.design,
        "batch": row.profile.charge_batch_pages,
        "profile": row.profile.name,
        "kernel_release": row.kernel.release,
        "kernel_sha256": row.kernel.sha256,
        "package": row.kernel.package,
        "deterministic": row.deterministic,
    }
    program = {name: getattr(row.case.program, name) for name, *_ in PROGRAM_FIELDS}
    memory = {
        f"{name}_{when}": pair[at] for name, pair in row.memory.items() for at, when in enumerate(("before", "after"))
    }
    return _keys(row) | program | settings | row.settings | memory


def _slabs(row: Row) -> Iterator[dict[str, Any]]:
    for name, slab in row.slabs.items():
        geometry = {"object_bytes": slab.object_bytes, "objects_per_slab": slab.objects_per_slab}
        yield (
            _keys(row)
            | geometry
            | {
                "kmem_cache": name,
                "pages_per_slab": slab.pages_per_slab,
                "active_objects_before": slab.before[0],
                "active_objects_after": slab.after[0],
                "total_objects_before": slab.before[1],
                "total_objects_after": slab.after[1],
            }
        )


def _calls(row: Row) -> Iterator[dict[str, Any]]:
    for (phase, function), call in row.calls.items():
        operations, us = row.operations.get(phase, (0, None))
        yield _keys(row) | {
            "phase": phase,
            "function": function,
            "hits_before": call.before[0],
            "hits_after": call.after[0],
            "misses_before": call.before[1],
            "misses_after": call.after[1],
            "counted_files": row.case.program.counted_files,
            "operations": operations,
            "guest_us_per_operation": us,
        }
