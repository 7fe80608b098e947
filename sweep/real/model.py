"""The model's side of a point: what it says that a kernel would report."""

from __future__ import annotations

from dataclasses import replace

from core.lifecycle.life import KIB
from core.params import Point
from core.slabs.geometry import slab_geometry
from core.validation.calls import count_calls
from core.validation.tmpfs import replay
from sweep.real.rows import Call, Row, Slab

FUNCTIONS = {  # what the model counts -> the name it goes by in 5.13 and later
    "charges": "try_charge_memcg",
    "charge_walks": "page_counter_try_charge",
    "uncharges": "obj_cgroup_uncharge_pages",
    "uncharge_walks": "page_counter_uncharge",
}


def replayed(row: Row, usual: Point) -> None:
    """Fill in a row by replaying its program on its kernel's profile. All starts at 0; `replicate` is a draw."""
    if row.case.measure == "churn":
        _churn(row)
    else:
        _counts(row, usual)


def _churn(row: Row) -> None:
    case, profile = row.case, row.profile
    left = replay(profile, case.program, case.cpus, case.replicate)
    row.memory = {
        "dying_memcgs": (0, left.dying_memcgs),
        "memcg_kmem_caches": (0, left.memcg_kmem_caches),
        "slab_kib": (0, sum(left.slab_kib.values())),
        "percpu_kib": (0, left.percpu_kib),
    }
    for name, kib in left.slab_kib.items():
        slab = slab_geometry(profile, name, case.cpus, case.cpus)
        objects = kib * KIB / (slab.pages * profile.page_bytes) * slab.objects
        row.slabs[name] = Slab(slab.object_bytes, slab.objects, slab.pages, before=(None, 0), after=(None, objects))


def _counts(row: Row, usual: Point) -> None:
    case, program = row.case, row.case.program
    paces = {"create": program.file_us, "unlink": program.file_us, f"pipe{program.counted_pipes}": program.pipe_us}
    point = replace(usual, kernel=row.profile, cpus=case.cpus, depth=case.depth, cgroup_version=case.cgroup_version)
    counted = count_calls(point, program.counted_files, paces, case.replicate)
    for phase, calls in counted.items():
        name = phase.rstrip("0123456789")
        row.operations[name] = calls.operations, paces[phase]
        for figure, function in FUNCTIONS.items():
            row.calls[name, function] = Call((0, 0), (getattr(calls, figure), 0))
