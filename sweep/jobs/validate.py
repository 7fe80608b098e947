"""The validate job: the model on the kernels, CPU counts and workloads that a folder of reference figures lists."""

from __future__ import annotations

import csv
import dataclasses
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from types import ModuleType
from typing import Any

import pyarrow as pa

from core.params import Point
from core.profile import KernelProfile
from core.validation import curves, figures, published_charging, published_memory
from core.validation.figures import Figure
from core.workload import TmpfsProgram
from sweep.config import hosts
from sweep.errors import InputError, remark
from sweep.folder import OWN_REFERENCE
from sweep.real.options import named_profile, usual_point, usual_program
from sweep.real.reference import ReadTables, is_run, read_run
from sweep.version import core_digest

NEEDED = {  # columns that a table must have
    "kernels": ("kernel", "profile"),
    "workloads": ("workload", "control", "cgroups", "files", "keep", "warm_ms"),
    "vm_memory": ("kernel", "cpus", "workload"),
    "ftrace_calls": ("kernel", "cpus", "depth", "files", "phase"),
}
PUBLISHED: dict[str, ModuleType] = {  # each has figures() and POINTS
    "published": published_memory,
    "curves": curves,
    "observed": published_charging,
}
SCHEMA = pa.schema(
    [  # core.validation.figures.Figure
        pa.field(name, kind, metadata={"unit": unit, "doc": doc})
        for name, kind, unit, doc in (
            ("group", pa.string(), "1", "what kind of figure: memory, calls, or of published tables"),
            ("figure", pa.string(), "1", "name of the figure"),
            ("kernel", pa.string(), "1", "kernel version, as in kernels.csv"),
            ("cpus", pa.int64(), "1", "CPUs of the machine"),
            ("workload", pa.string(), "1", "workload, or phase and depth"),
            ("unit", pa.string(), "1", "unit of the figure"),
            ("model", pa.float64(), "column unit", "the model's value"),
        )
    ]
)


@dataclass(frozen=True)
class Replay:
    """What is replayed once: a workload with its control, a program of the function profiler, or published tables."""

    kind: str  # memory, calls, or a key of PUBLISHED
    kernel: str = ""
    cpus: int = 0
    workload: str = ""
    depth: int = 0
    files: int = 0


@dataclass(frozen=True)
class Validation:
    """A position is a case; its rows are its figures."""

    cases: tuple[Replay, ...]
    tables_read: ReadTables
    profiles: Mapping[str, KernelProfile]  # by kernel, the version or what a run calls it
    points: Mapping[str, Point]  # that published figures start from
    programs: Mapping[str, TmpfsProgram]  # by workload
    usual: Point  # whose kernel, CPUs and depth are set to a case's
    tables = ("figures",)
    grains = (1,)
    per_node = False

    @property
    def inputs(self) -> str:
        """Return a digest of the tables that were read and of the code that judges by them."""
        profiles = {name: dataclasses.asdict(profile) for name, profile in self.profiles.items()}
        content = json.dumps([self.tables_read, profiles, core_digest()], sort_keys=True)
        return blake2b(content.encode(), digest_size=10).hexdigest()

    def positions(self, nodes: int) -> int:  # noqa: ARG002 (the cases are the cases)
        """Return the number of cases."""
        return len(self.cases)

    def count(self) -> int:
        """Return the number of cases."""
        return len(self.cases)

    def features(self, position: int) -> tuple[float, ...]:
        """Return whether a case is a replay of many cgroups, the dear kind."""
        return (float(self.cases[position].kind == "memory"),)

    def settings(self, position: int) -> Mapping[str, Any]:
        """Return what a case is."""
        return {name: value for name, value in vars(self.cases[position]).items() if value}

    def work(self, start: int, stop: int) -> dict[str, pa.Table]:
        """Return the figures of some cases."""
        found = [figure for case in self.cases[start:stop] for figure in self._figures(case)]
        return {"figures": pa.Table.from_pylist([dataclasses.asdict(figure) for figure in found], SCHEMA)}

    def _figures(self, case: Replay) -> list[Figure]:
        if case.kind in PUBLISHED:
            published_figures: list[Figure] = PUBLISHED[case.kind].figures(self.tables_read, self.points)
            return published_figures
        if case.kind == "memory":
            controls = {row["workload"]: row["control"] for row in self.tables_read["workloads"]}
            control = controls[case.workload]
            in_flight = self._in_flight(case, control)
            programs = (
                dataclasses.replace(self.programs[name], in_flight=in_flight) for name in (case.workload, control)
            )
            return figures.memory_figures(
                self.profiles[case.kernel], *programs, kernel=case.kernel, cpus=case.cpus, workload=case.workload
            )
        rows = self.tables_read["ftrace_calls"]
        runs: dict[str, dict[str, float | None]] = {}
        for row in rows:
            if _call_case(row) == case:
                runs.setdefault(row.get("run", ""), {})[row["phase"]] = _number("us_per_operation", row)
        point = dataclasses.replace(self.usual, kernel=self.profiles[case.kernel], cpus=case.cpus, depth=case.depth)
        return figures.call_figures(point, list(runs.values()), kernel=case.kernel, files=case.files)

    def _in_flight(self, case: Replay, control: str) -> float | None:
        """Return the removed cgroups that were in flight when the control ran; None where nobody looked."""
        for row in self.tables_read["vm_memory"]:
            if (row["kernel"], row["cpus"], row["workload"]) == (case.kernel, str(case.cpus), control):
                return _number("in_flight", row)
        return None


def job(config: Mapping[str, Any]) -> Validation:
    """Return the job of a config: its `reference` names the folder, null the project's own."""
    folder = Path(config["reference"]) if config["reference"] is not None else OWN_REFERENCE
    if is_run(folder):
        return _of_run(folder)
    tables = read_tables(folder)
    measured = hosts.newest_rows()
    if measured:
        remark(f"calibration of this node, {hosts.rows_path()}, stands in for calibration.csv")
        tables["calibration"] = measured
    cases = tuple(dict.fromkeys(_cases(tables)))
    names = {row["kernel"]: row["profile"] for row in tables["kernels"]}
    kernels = {case.kernel for case in cases if case.kernel}
    for kernel in sorted(kernels - set(names)):
        raise InputError(f"kernel {kernel} must stand in kernels.csv (got {', '.join(names)}); add a row for it")
    profiles = {
        kernel: named_profile(f"profile of kernel {kernel} in kernels.csv", names[kernel]) for kernel in sorted(kernels)
    }
    overrides = {name: paths for module in PUBLISHED.values() for name, paths in module.POINTS.items()}
    return Validation(
        cases,
        tables,
        profiles,
        {name: usual_point(paths) for name, paths in overrides.items()},
        _programs(tables),
        usual_point(),
    )


def _of_run(folder: Path) -> Validation:
    """Return the job that puts the model to what a run measured; published figures have no part in it."""
    tables, profiles = read_run(folder)
    cases = tuple(dict.fromkeys(case for case in _cases(tables) if case.kind not in PUBLISHED))
    return Validation(cases, tables, profiles, {}, _programs(tables), usual_point())


def read_tables(folder: Path) -> ReadTables:
    """Return the CSV files of a folder as rows of text, and of the project's own folder those that it lacks."""
    if not folder.is_dir():
        raise InputError(f"reference must be a folder (got {str(folder)!r}); leave it out for the project's own")
    paths = {path.stem: path for where in (OWN_REFERENCE, folder) for path in sorted(where.glob("*.csv"))}
    tables: ReadTables = {}
    for name, path in paths.items():
        with path.open(newline="", encoding="utf-8") as file:
            rows = csv.DictReader(file)
            tables[name] = list(rows)
        columns = rows.fieldnames or ()
        for column in NEEDED.get(name, ()):
            if column not in columns:
                raise InputError(f"{path} must have a column {column} (got {', '.join(columns) or 'nothing'}); add it")
    return tables


def _cases(tables: ReadTables) -> Iterator[Replay]:
    workloads = {row["workload"]: row for row in tables["workloads"]}
    for row in tables["vm_memory"]:
        for needed in (row["workload"], workloads.get(row["workload"], {}).get("control")):
            if needed and needed not in workloads:
                raise InputError(f"workload {needed} must stand in workloads.csv (got {', '.join(workloads)}); add it")
        if workloads[row["workload"]]["control"]:
            yield Replay("memory", row["kernel"], _whole("cpus", row["cpus"]), workload=row["workload"])
    yield from map(_call_case, tables["ftrace_calls"])
    yield from map(Replay, PUBLISHED)


def _call_case(row: Mapping[str, str]) -> Replay:
    cpus, depth, files = (_whole(column, row[column]) for column in ("cpus", "depth", "files"))
    return Replay("calls", row["kernel"], cpus, depth=depth, files=files)


def _programs(tables: ReadTables) -> dict[str, TmpfsProgram]:
    """Return the program of each row of workloads.csv; what it does not say is usual."""
    usual, found = usual_program(), {}
    for row in tables["workloads"]:
        numbers = ("cgroups", "files", "keep", "warm_ms", "data_kib")
        given: dict[str, Any] = {name: _whole(name, row[name]) for name in numbers if row.get(name)}
        given |= {name: row[name] for name in ("hold", "pin") if row.get(name)}
        found[row["workload"]] = dataclasses.replace(usual, **given)
    return found


def _number(name: str, row: Mapping[str, str]) -> float | None:
    """Return a number that a table may have; None where it has none."""
    return float(row[name]) if row.get(name) else None


def _whole(name: str, text: str) -> int:
    if not text.isdecimal():
        raise InputError(f"{name} must be a whole number in every row of the reference (got {text!r}); correct it")
    return int(text)
