"""A figure that can be held against a reference, and how the model's side of those from real kernels is made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from core.params import Point
from core.profile import KernelProfile
from core.validation.calls import count_calls
from core.validation.tmpfs import Left, replay
from core.workload import TmpfsProgram

DRAWS = 8  # ways to wander over which a replay is averaged; their standard error is under 1 % of a figure
KIB_PER_CGROUP = "KiB/cgroup"
OF_CACHE = "slab of "
NO_CHANGE_KIB = 0.1  # per cgroup: caches whose memory differs by less, in the model, make no figure of their own

Phases = Mapping[str, float | None]  # of a program whose calls are counted -> us of an operation, where it is known
Tables = Mapping[str, Sequence[Mapping[str, str]]]  # CSV files of references by name, as rows of text


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
    profile: KernelProfile, program: TmpfsProgram, control: TmpfsProgram, *, kernel: str, cpus: int, workload: str
) -> list[Figure]:
    """What `program` leaves behind beyond its control, per removed cgroup: bytes, memcgs, kmem_caches."""
    left, left_by_control = (_per_cgroup(profile, each, cpus) for each in (program, control))
    differences = {key: amount - left_by_control[key] for key, amount in left.items()}
    touched = {
        key: difference
        for key, difference in differences.items()
        if key[0].startswith(OF_CACHE) and abs(difference) >= NO_CHANGE_KIB
    }
    found = {key: difference for key, difference in differences.items() if not key[0].startswith(OF_CACHE)} | touched
    if touched:  # a total of less noise than all of the kernel's slabs
        found[f"{OF_CACHE}touched caches", KIB_PER_CGROUP] = sum(touched.values())
    return [
        Figure("memory", name, kernel, cpus, workload, unit, difference) for (name, unit), difference in found.items()
    ]


def _per_cgroup(profile: KernelProfile, program: TmpfsProgram, cpus: int) -> dict[tuple[str, str], float]:
    """By name and unit, what a program leaves behind per cgroup, averaged over the ways in which its tasks wander."""
    draws = [_amounts(replay(profile, program, cpus, draw)) for draw in range(DRAWS)]
    return {key: fmean(amounts[key] for amounts in draws) / program.cgroups for key in draws[0]}


def _amounts(left: Left) -> dict[tuple[str, str], float]:
    slab_kib = sum(left.slab_kib.values())
    return {
        ("slab + percpu", KIB_PER_CGROUP): slab_kib + left.percpu_kib,
        ("slab", KIB_PER_CGROUP): slab_kib,
        ("percpu", KIB_PER_CGROUP): left.percpu_kib,
        ("dying memcgs", "1/cgroup"): left.dying_memcgs,
        ("memcg kmem_caches", "1/cgroup"): left.memcg_kmem_caches,
        **{(f"{OF_CACHE}{name}", KIB_PER_CGROUP): kib for name, kib in left.slab_kib.items()},
    }


def call_figures(point: Point, runs: Sequence[Phases], *, kernel: str, files: int) -> list[Figure]:
    """Page charges per operation, counter walks per charge and per uncharge, and atomics per uncharge.

    runs: of each run of the reference its phases, 'create', 'unlink' and 'pipeN', each with the us that an operation
    takes, None for the pace of the machine that the reference was counted on. A figure is the mean over them, as the
    reference's is: what fits a grace period does not follow the mean pace. A ratio to nothing is no figure.
    """
    found: dict[tuple[str, str, str], list[float]] = {}
    for draw, phases in enumerate(runs):
        for phase, calls in count_calls(point, files, phases, draw).items():
            ratios = {
                ("charges", "1/operation"): (calls.charges, calls.operations),
                ("charge walks", "1/charge"): (calls.charge_walks, calls.charges),
                ("uncharge walks", "1/uncharge"): (calls.uncharge_walks, calls.uncharges),
                ("uncharge atomics", "1/uncharge"): (calls.uncharge_atomics, calls.uncharges),
            }
            for (name, unit), (times, per) in ratios.items():
                if per:
                    found.setdefault((phase, name, unit), []).append(times / per)
    return [
        Figure("calls", name, kernel, point.cpus, f"{phase}, depth {point.depth}", unit, fmean(values))
        for (phase, name, unit), values in found.items()
    ]
