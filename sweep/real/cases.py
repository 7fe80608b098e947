"""Which points the truth job has: boots, measurements of the node's own kernel, and the model's replay of either."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

from core.keys import resolved
from core.params import Point
from core.workload import TmpfsProgram
from sweep.errors import InputError
from sweep.plan.expand import Expander

MODEL_ONLY = ("in_flight", "file_us", "pipe_us")  # of TmpfsProgram: a real kernel has its own
ONLY_COUNTED = ("counted_files", "counted_pipes", "file_us", "pipe_us")  # the rest is the churn's


@dataclass(frozen=True)
class Case:
    """One boot, one measurement of the node's own kernel, or one replay of either."""

    source: str
    kernel: str
    measure: str
    cpus: int
    depth: int
    cgroup_version: int
    program: TmpfsProgram
    replicate: int

    @property
    def scenario_id(self) -> str:
        """Name what is run, whatever runs it: 16 hex digits."""
        what = [self.measure, self.depth, self.cgroup_version, dataclasses.astuple(self.program), self.replicate]
        return blake2b(json.dumps(what).encode(), digest_size=8).hexdigest()

    def workload(self, usual: TmpfsProgram) -> str:
        """Name a workload as the reference's: keep1, its control keep0, and what differs from the usual."""
        if self.measure != "churn":
            return self.measure
        changed = [
            f"{field.name}{value}"
            for field in dataclasses.fields(TmpfsProgram)
            if field.name not in ("keep", *MODEL_ONLY)
            and (value := getattr(self.program, field.name)) != getattr(usual, field.name)
        ]
        where = [f"depth{self.depth}"] * (self.depth != 1) + ["v1"] * (self.cgroup_version == 1)
        return "-".join([f"keep{self.program.keep}", *changed, *where])


@dataclass(frozen=True)
class Backend:
    """One value of `backend`: the sources of its rows, its kernels by name, what it measures for each `vm.measure`, and
    the fields of a point that the machine decides."""

    sources: tuple[str, ...]
    kernels: tuple[str, ...]
    measures: Mapping[str, str]
    fixed: Mapping[str, int] = dataclasses.field(default_factory=dict)


def cases_of(points: Any, backends: Iterable[Backend], measures: Iterable[str], usual: TmpfsProgram) -> list[Case]:
    """Return every case, and after each that keeps something its control; each once, in order."""
    found = [resolved(point) for _, each, _ in Expander(points).scenarios(0, points.positions) for point in each]
    for point in found:
        if point.workload.tmpfs is None:
            raise InputError(
                f"workload must be one that a real kernel runs (got {point.workload.name!r}); use tmpfs_churn"
            )
    cases = (
        case
        for backend in backends
        for measure in measures
        for point in found
        for case in _at(point, backend, backend.measures[measure], usual)
    )
    return list(dict.fromkeys(cases))


def _at(point: Point, backend: Backend, measure: str, usual: TmpfsProgram) -> Iterator[Case]:
    assert point.workload.tmpfs is not None
    program = _relevant(point.workload.tmpfs, measure, usual)
    programs = [program, dataclasses.replace(program, keep=0)] if measure == "churn" else [program]
    machine = {name: getattr(point, name) for name in ("cpus", "depth", "cgroup_version")} | dict(backend.fixed)
    for each in programs:
        for kernel in backend.kernels:
            for source in backend.sources:
                if measure != "cost":
                    mine = _of_source(each, source, usual)
                    yield Case(source, kernel, measure, **machine, program=mine, replicate=point.replicate)
                elif source != "model" and point.replicate == 0:  # has rounds of its own
                    yield Case(source, kernel, measure, **machine, program=usual, replicate=0)


def _relevant(program: TmpfsProgram, measure: str, usual: TmpfsProgram) -> TmpfsProgram:
    """Return a program whose parameters that a measurement does not look at are the usual ones."""
    names = {field.name for field in dataclasses.fields(program)}
    other = set(ONLY_COUNTED) if measure == "churn" else names - set(ONLY_COUNTED)
    return dataclasses.replace(program, **{name: getattr(usual, name) for name in other})


def _of_source(program: TmpfsProgram, source: str, usual: TmpfsProgram) -> TmpfsProgram:
    if source == "model":
        return program
    return dataclasses.replace(program, **{name: getattr(usual, name) for name in MODEL_ONLY})
