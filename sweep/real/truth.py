"""The truth job: the same points on the model and on real kernels, landed raw in one run.

A position is a boot of a virtual machine, or the model's replay of what runs in it. Rows hold what was read before and
after; SQL subtracts.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

import pyarrow as pa
from omegaconf import DictConfig, OmegaConf

from core.keys import resolved
from core.params import Point
from core.profile import KernelProfile
from core.workload import TmpfsProgram
from sweep.config.schema import VM_MEASURES, Vm, build
from sweep.engine.loop import Resources
from sweep.errors import InputError, not_one_of
from sweep.plan.expand import Expander
from sweep.plan.planner import LoadOption, flat, plan
from sweep.real import guest, qemu
from sweep.real.kernels import Kernel, resolve, to_fetch
from sweep.real.options import profile_of, usual_point, usual_program
from sweep.real.rows import TABLES, Row, tables_of
from sweep.version import core_digest

BACKEND_SOURCES = {"model": ("model",), "vm": ("model", "vm")}  # backend -> where its points are put to
OWN_AXES = {
    "backend": tuple(BACKEND_SOURCES),
    "vm.kernel": None,
    "vm.measure": VM_MEASURES,
}  # key -> what it may be
FREE = ("cpus", "depth", "cgroup_version", "workload.tmpfs.", "workload")  # what a point may set beside them
MOST_CASES = 10_000
MODEL_MIB = 512  # a worker with compiled code, and one replay


@dataclass(frozen=True)
class Case:
    """One boot, or one replay of it."""

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


@dataclass(frozen=True)
class Truth:
    """A position is a case."""

    cases: tuple[Case, ...]
    usual: TmpfsProgram  # what a workload is named by its difference to
    kernels: Mapping[str, Kernel]
    profiles: Mapping[str, KernelProfile]
    vm: Vm
    usual_point: Point  # whose kernel, CPUs and depth are set to a case's, where calls are counted
    made_with: Mapping[str, str]  # versions and digests of what is neither config nor kernel
    tables = TABLES
    grains = (1,)
    per_node = False

    @property
    def inputs(self) -> str:
        """Return a digest of the kernels, of QEMU, of the guest program and of the model."""
        read = [
            sorted((kernel.name, kernel.sha256) for kernel in self.kernels.values()),
            dict(self.made_with),
            core_digest(),
        ]
        return blake2b(json.dumps(read, sort_keys=True).encode(), digest_size=10).hexdigest()

    def about(self) -> Mapping[str, Any]:
        """Return whether all rows come out the same again, and what was measured, with what."""
        kernels = [
            dataclasses.asdict(self.kernels[name]) | {"profile": dataclasses.asdict(profile)}
            for name, profile in self.profiles.items()
        ]
        same = all(self._deterministic(case) for case in self.cases)
        return {"deterministic": same, "real": {"kernels": kernels} | dict(self.made_with)}

    def positions(self, nodes: int) -> int:  # noqa: ARG002 (the cases are the cases)
        """Return the number of cases."""
        return len(self.cases)

    def count(self) -> int:
        """Return the number of cases."""
        return len(self.cases)

    def features(self, position: int) -> tuple[float, ...]:
        """Return whether a case is a boot."""
        return (float(self.cases[position].source != "model"),)

    def settings(self, position: int) -> Mapping[str, Any]:
        """Return what a case is."""
        case = self.cases[position]
        shown = {"source": case.source, "kernel": case.kernel, "measure": case.measure, "cpus": case.cpus}
        return shown | {"workload": self._name(case), "replicate": case.replicate}

    def resources(self, position: int) -> Resources:
        """Return what a virtual machine takes, or a replay."""
        case = self.cases[position]
        if case.source == "model":
            return Resources(1, MODEL_MIB << 20)
        return Resources(case.cpus, (self.vm.memory_mib + qemu.QEMU_MIB) << 20)

    def foretold(self, cores: int) -> Iterator[tuple[str, str]]:
        """Yield how many boots there are, of what, and how long they take."""
        boots = [case for case in self.cases if case.source != "model"]
        took = sum(_boot_s(case, self.vm) * min(case.cpus, cores) for case in boots) / cores
        missing = to_fetch(dict.fromkeys(case.kernel for case in boots))
        yield "points", f"{len(self.cases):,}, of which {len(boots):,} are boots"
        yield "kernels", ", ".join(dict.fromkeys(case.kernel for case in self.cases))
        if missing:
            yield "to fetch", f"{', '.join(missing)}; 13 to 51 MB each, once"
        yield "time", f"about {took:,.0f} s on {cores} cores"

    def work(self, start: int, stop: int) -> dict[str, pa.Table]:
        """Return the tables of some cases."""
        return tables_of([self._row(case) for case in self.cases[start:stop]])

    def _row(self, case: Case) -> Row:
        from sweep.real import model, vm

        profile, kernel = self.profiles[case.kernel], self.kernels[case.kernel]
        digest = blake2b(f"{case}{kernel.sha256}{dict(self.made_with)}".encode(), digest_size=10).hexdigest()
        row = Row(case, digest, self._name(case), kernel, profile, self._deterministic(case))
        if case.source == "model":
            model.replayed(row, self.usual_point)
        else:
            vm.boot_and_fill(row, self.vm)
        return row

    def _deterministic(self, case: Case) -> bool:
        return case.source == "model" or self.vm.icount

    def _name(self, case: Case) -> str:
        """Name a workload as the reference's: keep1, its control keep0, and what differs from the usual."""
        if case.measure == "counts":
            return "counts"
        changed = [
            f"{field.name}{value}"
            for field in dataclasses.fields(TmpfsProgram)
            if field.name not in ("keep", *MODEL_ONLY)
            and (value := getattr(case.program, field.name)) != getattr(self.usual, field.name)
        ]
        where = [f"depth{case.depth}"] * (case.depth != 1) + ["v1"] * (case.cgroup_version == 1)
        return "-".join([f"keep{case.program.keep}", *changed, *where])


MODEL_ONLY = ("in_flight", "file_us", "pipe_us")  # of TmpfsProgram: a real kernel has its own
ONLY_COUNTED = ("counted_files", "counted_pipes", "file_us", "pipe_us")  # the rest is the churn's


def truth(config: DictConfig, load_option: LoadOption, given: Sequence[str]) -> Truth:
    """Return the job of a config; `given` are the keys that the command line sets.

    Kernels are fetched, unless the plan is only shown.
    """
    whole: Any = OmegaConf.to_container(config, resolve=True)
    vm = build(Vm, whole["vm"], "vm.")
    usual = usual_program()
    own = {key: _values(config, key, given, allowed) for key, allowed in OWN_AXES.items()}
    _refuse_fixed(given)
    _check(vm)
    rest = config.copy()
    rest.axes = _without(whole["axes"], OWN_AXES)
    points = plan(rest, load_option)
    if points.positions > MOST_CASES:
        raise InputError(f"axes must give at most {MOST_CASES} points to boot (got {points.positions}); shorten some")
    sources = tuple(dict.fromkeys(source for backend in own["backend"] for source in BACKEND_SOURCES[backend]))
    booted = "vm" in sources
    if booted and config.plan == "run":
        qemu.qemu()
    fetches = config.plan == "run"
    kernels = resolve(own["vm.kernel"], vm.mirror) if fetches else [_unresolved(text, vm) for text in own["vm.kernel"]]
    cases = tuple(dict.fromkeys(_cases(points, sources, [k.name for k in kernels], own["vm.measure"], usual)))
    for case in cases:
        if vm.icount and case.cpus > 1:
            raise InputError(f"vm.icount must have one CPU (got cpus={case.cpus}); give 'axes.cpus=[1]'")
    made_with: dict[str, str] = {}
    if booted and fetches:
        made_with = {"qemu": qemu.qemu_version(), "program": guest.source_digest()}
    profiles = {kernel.name: profile_of(kernel, vm.profile) for kernel in kernels} if fetches else {}
    return Truth(cases, usual, {kernel.name: kernel for kernel in kernels}, profiles, vm, usual_point(), made_with)


def _unresolved(text: str, vm: Vm) -> Kernel:
    return Kernel(text, text, "", "", "", vm.mirror)


def _values(config: DictConfig, key: str, given: Sequence[str], allowed: Iterable[str] | None) -> list[str]:
    """Return the values of one of our own axes: the command line's key stands before the experiment's axis."""
    axes = dict(flat(OmegaConf.to_container(config.axes)))  # type: ignore[arg-type]
    alone = key in given and f"axes.{key}" not in given
    values = [OmegaConf.select(config, key)] if alone or axes.get(key) is None else axes[key]
    if not isinstance(values, list) or not values:
        raise InputError(f"axes.{key} must be a list (got {values!r}); give axes.{key}=[VALUE]")
    for value in values:
        if not isinstance(value, str):
            raise InputError(f"{key} must be text, since 6.10 is not 6.1 (got {value!r}); quote it")
        if allowed is not None and value not in allowed:
            raise InputError(not_one_of(key, value, allowed))
    return list(dict.fromkeys(values))


def _without(tree: Any, keys: Iterable[str], prefix: str = "") -> dict[str, Any]:
    """Return a tree of axes without some of them, and without what has none left."""
    found = {}
    for name, node in tree.items():
        path = f"{prefix}{name}"
        if path in keys:
            continue
        inner = isinstance(node, dict) and any(key.startswith(f"{path}.") for key in keys)
        if kept := _without(node, keys, f"{path}.") if inner else node:
            found[name] = kept
    return found


def _refuse_fixed(given: Sequence[str]) -> None:
    """Refuse what a booted kernel decides for itself."""
    for key in given:
        path = key.removeprefix("axes.")
        fixed = path.partition(".")[0] in {field.name for field in dataclasses.fields(Point)}
        if fixed and not any(path == free or (free[-1] == "." and path.startswith(free)) for free in FREE):
            raise InputError(
                f"{key} must be left to the kernel that is measured (got a value); remove it, vm.profile=NAME chooses "
                "what the model takes for that kernel"
            )


def _check(vm: Vm) -> None:
    if vm.icount and vm.accel == "kvm":
        raise InputError("vm.icount must be counted by TCG (got vm.accel='kvm'); give vm.accel=tcg")


def _cases(
    points: Any, sources: Iterable[str], kernels: Iterable[str], measures: Iterable[str], usual: TmpfsProgram
) -> Iterator[Case]:
    """Yield every case, and after each that keeps something its control."""
    found = [resolved(point) for _, each, _ in Expander(points).scenarios(0, points.positions) for point in each]
    for measure in measures:
        for point in found:
            if point.workload.tmpfs is None:
                raise InputError(
                    f"workload must be one that a real kernel runs (got {point.workload.name!r}); use tmpfs_churn"
                )
            program = _relevant(point.workload.tmpfs, measure, usual)
            programs = [program, dataclasses.replace(program, keep=0)] if measure == "churn" else [program]
            for each in programs:
                for kernel in kernels:
                    for source in sources:
                        given = {"depth": point.depth, "cgroup_version": point.cgroup_version}
                        mine = _of_source(each, source, usual)
                        yield Case(
                            source, kernel, measure, point.cpus, **given, program=mine, replicate=point.replicate
                        )


def _relevant(program: TmpfsProgram, measure: str, usual: TmpfsProgram) -> TmpfsProgram:
    """Return a program whose parameters that a measurement does not look at are the usual ones."""
    names = {field.name for field in dataclasses.fields(program)}
    other = set(ONLY_COUNTED) if measure == "churn" else names - set(ONLY_COUNTED)
    return dataclasses.replace(program, **{name: getattr(usual, name) for name in other})


def _of_source(program: TmpfsProgram, source: str, usual: TmpfsProgram) -> TmpfsProgram:
    if source == "model":
        return program
    return dataclasses.replace(program, **{name: getattr(usual, name) for name in MODEL_ONLY})


def _boot_s(case: Case, vm: Vm) -> float:
    """Return about how long a boot takes on idle cores under TCG: to init, the work, and off."""
    boot_s = 4 + 0.3 * case.cpus
    if case.measure == "counts":
        return boot_s + (case.program.counted_files + case.program.counted_pipes) * 3e-4
    pause_ms = 0 if vm.icount else case.program.warm_ms
    return boot_s + 1 + case.program.cgroups * (pause_ms + 15 + case.program.files) / 1000
