"""The truth job: the same points on the model and on real kernels, landed raw in one run.

A position is a boot of a virtual machine, a measurement of the node's own kernel, or the model's replay of what runs
there. Rows hold what was read before and after; SQL subtracts.
"""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

import pyarrow as pa
from omegaconf import DictConfig, OmegaConf

from core.params import Point
from core.profile import KernelProfile
from core.workload import TmpfsProgram
from sweep.config.records import build
from sweep.config.schema import VM_MEASURES, Vm
from sweep.engine.loop import Resources
from sweep.engine.store import Store
from sweep.errors import InputError, not_one_of
from sweep.plan.planner import LoadOption, flat, plan
from sweep.real import guest, live, place, qemu
from sweep.real.cases import Backend, Case, cases_of
from sweep.real.kernels import Kernel, here, resolve, to_fetch
from sweep.real.options import profile_of, usual_point, usual_program
from sweep.real.rows import TABLES, Row, tables_of
from sweep.version import core_digest

BACKENDS = {"model": ("model",), "vm": ("model", "vm"), "live": ("model", "live")}  # backend -> sources of its rows
OWN_AXES = {
    "backend": tuple(BACKENDS),
    "vm.kernel": None,
    "vm.measure": VM_MEASURES,
}  # key -> what it may be
NOT_LIVE = ("vm", "vm.kernel", "vm.mirror", "vm.accel", "vm.icount", "vm.memory_mib", "vm.time_limit_s")
FREE = ("cpus", "depth", "cgroup_version", "workload.tmpfs.", "workload")  # what a point may set beside them
MOST_CASES = 10_000
MODEL_MIB = 512  # a worker with compiled code, and one replay


@dataclass(frozen=True)
class Truth:
    """A position is a case."""

    cases: Sequence[Case]
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
        """Return whether a case is measured on a kernel."""
        return (float(self.cases[position].source != "model"),)

    def settings(self, position: int) -> Mapping[str, Any]:
        """Return what a case is."""
        case = self.cases[position]
        shown = {"source": case.source, "kernel": case.kernel, "measure": case.measure, "cpus": case.cpus}
        return shown | {"workload": case.workload(self.usual), "replicate": case.replicate}

    def resources(self, position: int) -> Resources:
        """Return what a virtual machine takes, or a replay; the node's own kernel is measured alone."""
        case = self.cases[position]
        if case.source == "live":
            return Resources(os.cpu_count() or 1, place.LEAST_AVAILABLE_BYTES)
        if case.source == "model":
            return Resources(1, MODEL_MIB << 20)
        return Resources(case.cpus, (self.vm.memory_mib + qemu.QEMU_MIB) << 20)

    def foretold(self, cores: int) -> Iterator[tuple[str, str]]:
        """Yield how many boots there are, of what, and how long they take."""
        boots = [case for case in self.cases if case.source == "vm"]
        alone = [case for case in self.cases if case.source == "live"]
        took = sum(_boot_s(case, self.vm) * min(case.cpus, cores) for case in boots) / cores
        took += sum(map(live.about_s, alone))
        missing = to_fetch(dict.fromkeys(case.kernel for case in boots))
        beside = f" and {len(alone):,} are measured on this node's kernel" if alone else ""
        yield "points", f"{len(self.cases):,}, of which {len(boots):,} are boots{beside}"
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
        row = Row(case, digest, case.workload(self.usual), kernel, profile, self._deterministic(case))
        if case.source == "model":
            model.replayed(row, self.usual_point)
        elif case.source == "live":
            live.measure(row, self.usual_point)
        else:
            vm.boot_and_fill(row, self.vm)
        return row

    def _deterministic(self, case: Case) -> bool:
        return case.source == "model" or (case.source == "vm" and self.vm.icount)

    def told(self, store: Store) -> Iterator[str]:
        """Yield what was measured on the node's own kernel, if it was."""
        yield from live.told_live(store)


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
    booted, fetches = "vm" in own["backend"], config.plan == "run"
    if booted and fetches:
        qemu.qemu()
    kernels = []
    if set(own["backend"]) != {"live"}:
        asked = own["vm.kernel"]
        kernels = resolve(asked, vm.mirror) if fetches else [_unresolved(text, vm) for text in asked]
    names = tuple(kernel.name for kernel in kernels)
    same = {measure: measure for measure in VM_MEASURES}
    backends = {name: Backend(sources, names, same) for name, sources in BACKENDS.items()}
    if "live" in own["backend"]:
        where, own_kernel = place.find(), here()
        _refuse_of_node(given, own["backend"])
        kernels.append(own_kernel)
        backends["live"] = Backend(BACKENDS["live"], (own_kernel.name,), live.INSTEAD, live.fixed(where))
    cases = cases_of(points, [backends[name] for name in own["backend"]], own["vm.measure"], usual)
    for case in cases:
        if case.source == "live":
            live.refuse_unfit(case)
    for case in cases:
        if vm.icount and case.source == "vm" and case.cpus > 1:
            raise InputError(f"vm.icount must have one CPU (got cpus={case.cpus}); give 'axes.cpus=[1]'")
    made_with: dict[str, str] = {}
    if booted and fetches:
        made_with = {"qemu": qemu.qemu_version(), "program": guest.source_digest()}
    if "live" in own["backend"]:
        made_with["churn"] = live.churn_digest()
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


def _refuse_of_node(given: Sequence[str], backends: Sequence[str]) -> None:
    """Refuse what the node's own kernel decides, where nothing else is measured that it could be meant for."""
    for key in given:
        path = key.removeprefix("axes.")
        if backends == ["live"] and (path in live.FIXED or path in NOT_LIVE):
            raise InputError(f"{key} must be left to the node with backend=live (got a value); remove it, or use vm")


def _check(vm: Vm) -> None:
    if vm.icount and vm.accel == "kvm":
        raise InputError("vm.icount must be counted by TCG (got vm.accel='kvm'); give vm.accel=tcg")


def _boot_s(case: Case, vm: Vm) -> float:
    """Return about how long a boot takes on idle cores under TCG: to init, the work, and off."""
    boot_s = 4 + 0.3 * case.cpus
    if case.measure == "counts":
        return boot_s + (case.program.counted_files + case.program.counted_pipes) * 3e-4
    pause_ms = 0 if vm.icount else case.program.warm_ms
    return boot_s + 1 + case.program.cgroups * (pause_ms + 15 + case.program.files) / 1000
