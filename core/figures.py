"""A figure that can be held against a reference, and how the model's side of those from real kernels is made."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from core.calls import count_calls
from core.profile import KernelProfile
from core.replay import Left, replay
from core.workload import TmpfsProgram

DRAWS = 8  # ways to wander over which a replay is averaged; their standard error is under 1 % of a figure
NO_CHANGE_KIB = 0.1  # per cgroup: caches whose memory differs by less, in the model, make no figure of their own


@dataclass(frozen=True)
class Figure:
    """One number of the model; (group, figure, kernel, cpus, workload) finds its reference."""

    group: str
    figure: str
    kernel: str
    cpus: int
    workload: str
    unit: str
    model: float


def memory_figures(
    profile: KernelProfile, kernel: str, cpus: int, workload: str, program: TmpfsProgram, control: TmpfsProgram
) -> list[Figure]:
    """What `program` leaves behind beyond its control, per removed cgroup: bytes, memcgs, kmem_caches."""
    runs, controls = ([replay(profile, each, cpus, draw) for draw in range(DRAWS)] for each in (program, control))

    def difference(values: Sequence[float], control_values: Sequence[float]) -> float:
        return fmean(values) / program.cgroups - fmean(control_values) / control.cgroups

    def kib(left: Left, name: str) -> float:
        return left.slab_kib[name]

    by_cache = {
        name: difference([kib(left, name) for left in runs], [kib(left, name) for left in controls])
        for name in runs[0].slab_kib
    }
    slab = sum(by_cache.values())
    percpu = difference([left.percpu_kib for left in runs], [left.percpu_kib for left in controls])
    dying = difference([left.dying_memcgs for left in runs], [left.dying_memcgs for left in controls])
    caches = difference([left.memcg_kmem_caches for left in runs], [left.memcg_kmem_caches for left in controls])
    numbers = {
        "slab + percpu": ("KiB/cgroup", slab + percpu),
        "slab": ("KiB/cgroup", slab),
        "percpu": ("KiB/cgroup", percpu),
        "dying memcgs": ("1/cgroup", dying),
        "memcg kmem_caches": ("1/cgroup", caches),
        **{f"slab of {name}": ("KiB/cgroup", size) for name, size in by_cache.items() if abs(size) >= NO_CHANGE_KIB},
    }
    return [Figure("memory", name, kernel, cpus, workload, unit, model) for name, (unit, model) in numbers.items()]


def call_figures(
    profile: KernelProfile, kernel: str, cpus: int, depth: int, files: int, phases: tuple[str, ...]
) -> list[Figure]:
    """Counter walks per charge and per uncharge, and atomics per uncharge, of each phase that has any."""
    figures = []
    for phase, calls in count_calls(profile, cpus, depth, files, phases).items():
        workload = f"{phase}, depth {depth}"
        if calls.charges:
            walks = calls.charge_walks / calls.charges
            figures.append(Figure("calls", "charge walks", kernel, cpus, workload, "1/charge", walks))
        if calls.uncharges:
            for name, number in (("uncharge walks", calls.uncharge_walks), ("uncharge atomics", calls.uncharge_atomics)):
                figures.append(Figure("calls", name, kernel, cpus, workload, "1/uncharge", number / calls.uncharges))
    return figures
