#!/usr/bin/env python3
"""Measure what short-lived memory cgroups leave behind in a real kernel, in a virtual machine.

Boots a kernel image under QEMU with an initramfs that holds one static program (init.c), reads the program's report
from the serial console and appends rows to the csv files of an output directory:

    memory   vm_memory.csv, vm_slabs.csv (run 1 only, caches whose figures changed) and workloads.csv
    calls    ftrace_calls.csv (the kernel needs the function profiler)
"""

import argparse
import csv
import gzip
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

MEMORY_COLUMNS = [
    "kernel",
    "cpus",
    "workload",
    "run",
    "cgroups_removed",
    "phase",
    "dying_memcgs",
    "memcg_kmem_caches",
    "slab_kib",
    "sunreclaim_kib",
    "sreclaimable_kib",
    "percpu_kib",
]
SLAB_COLUMNS = [
    "kernel",
    "cpus",
    "workload",
    "phase",
    "kmem_cache",
    "object_bytes",
    "objects_per_slab",
    "pages_per_slab",
    "active_objects",
    "total_objects",
]
WORKLOAD_COLUMNS = ["workload", "control", "cgroups", "files", "keep", "warm_ms"]
CALL_COLUMNS = ["kernel", "cpus", "depth", "files", "phase", "function", "calls"]


@dataclass(frozen=True)
class Workload:
    """Parameters of the churn; `control` names the workload whose growth is subtracted from this one's."""

    control: str
    cgroups: int
    files: int
    keep: int
    warm_ms: int


WORKLOADS = {
    "keep1": Workload("keep0", 200, 4, 1, 50),
    "keep0": Workload("", 200, 4, 0, 50),
    "keep3": Workload("keep0", 200, 4, 3, 50),
    "files40keep1": Workload("files40keep0", 100, 40, 1, 50),
    "files40keep0": Workload("", 100, 40, 0, 50),
    "nowarm1": Workload("nowarm0", 200, 4, 1, 0),
    "nowarm0": Workload("", 200, 4, 0, 0),
    "slow1": Workload("slow0", 100, 4, 1, 200),
    "slow0": Workload("", 100, 4, 0, 200),
}


class MeasureError(Exception):
    """A measurement that could not be made; the text is for the user."""


def cpio_entry(name: str, mode: int, content: bytes = b"", device: tuple[int, int] = (0, 0)) -> bytes:
    """Return one member of a cpio archive in the "newc" format, which is what the kernel unpacks."""
    fields = [0, mode, 0, 0, 1, 0, len(content), 0, 0, device[0], device[1], len(name) + 1, 0]
    header = b"070701" + b"".join(b"%08X" % field for field in fields) + name.encode() + b"\0"
    return header + b"\0" * (-len(header) % 4) + content + b"\0" * (-len(content) % 4)


def build_initramfs(init: Path, target: Path) -> None:
    """Write a compressed initramfs with the program `init` and a console for its output."""
    try:
        program = init.read_bytes()
    except OSError as error:
        raise MeasureError(f"cannot read the init program {init}: {error.strerror}") from error
    archive = (
        cpio_entry("dev", 0o40755)
        + cpio_entry("dev/console", 0o20600, device=(5, 1))
        + cpio_entry("init", 0o100755, program)
        + cpio_entry("TRAILER!!!", 0)
    )
    target.write_bytes(gzip.compress(archive))


def compile_init(source: Path, target: Path) -> None:
    """Compile init.c into a static program."""
    command = ["gcc", "-O2", "-Wall", "-static", "-o", str(target), str(source)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise MeasureError(f"cannot compile {source}: {done.stderr.strip().splitlines()[-1]}")


def boot(arguments: argparse.Namespace, initramfs: Path, cpus: int, parameters: dict[str, object]) -> list[list[str]]:
    """Boot the kernel once and return the fields of every record the init program printed."""
    words = [f"churn_{name}={value}" for name, value in parameters.items()]
    # On a busy host the emulated timer can be too late for the check a kernel makes of it at boot.
    append = " ".join(["console=ttyS0", "quiet", "panic=-1", "no_timer_check", *words])
    # The profiler patches code that other CPUs may be running; under multi-threaded TCG that crashes some guests.
    accelerator = "tcg,thread=single" if arguments.mode == "calls" else "tcg"
    command = [
        arguments.qemu,
        "-accel",
        accelerator,
        "-smp",
        str(cpus),
        "-m",
        "1G",
        "-nographic",
        "-no-reboot",
        "-kernel",
        str(arguments.bzimage),
        "-initrd",
        str(initramfs),
        "-append",
        append,
    ]
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=arguments.timeout,
            check=False,
        )
    except FileNotFoundError as error:
        raise MeasureError(f"there is no {arguments.qemu}") from error
    except subprocess.TimeoutExpired as error:
        raise MeasureError(f"the machine with {cpus} CPUs did not finish in {arguments.timeout} s") from error
    records = [line.split() for line in done.stdout.splitlines() if line.startswith("@")]
    for record in records:
        if record[0] == "@error":
            raise MeasureError(f"the init program failed with errno {record[2]} at {record[1]}")
    if ["@done"] not in records:
        tail = (done.stderr or done.stdout).strip().splitlines()[-1:] or ["no output"]
        raise MeasureError(f"the machine with {cpus} CPUs stopped before the end: {tail[0]}")
    return records


def read_rows(path: Path) -> list[dict[str, str]]:
    """Return the rows of a csv file, none if there is no such file."""
    if not path.exists():
        return []
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def append_rows(path: Path, columns: list[str], rows: list[list[object]]) -> None:
    """Append rows to a csv file, with the header if the file is new."""
    new = not path.exists()
    with path.open("a", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        if new:
            writer.writerow(columns)
        writer.writerows(rows)


def next_run(path: Path, kernel: str, cpus: int, workload: str) -> int:
    """Return the number of the next run of a workload, counting from 1."""
    runs = [
        int(row["run"])
        for row in read_rows(path)
        if (row["kernel"], row["cpus"], row["workload"]) == (kernel, str(cpus), workload)
    ]
    return max(runs, default=0) + 1


def slab_rows(records: list[list[str]], key: list[object]) -> list[list[object]]:
    """Return the vm_slabs.csv rows of the caches that differ between the two phases."""
    figures: dict[str, dict[str, list[str]]] = {}
    for _, phase, name, active, total, size, per_slab, pages in (r for r in records if r[0] == "@slab"):
        figures.setdefault(name, {})[phase] = [size, per_slab, pages, active, total]
    rows: list[list[object]] = []
    for name in sorted(figures):
        phases = figures[name]
        if phases.get("boot") != phases.get("settled"):
            rows += [[*key, phase, name, *phases[phase]] for phase in ("boot", "settled") if phase in phases]
    return rows


def measure_memory(arguments: argparse.Namespace, initramfs: Path) -> None:
    """Run each workload at each CPU count and append its rows."""
    memory_csv = arguments.out / "vm_memory.csv"
    for cpus in arguments.cpus:
        for name in arguments.workloads:
            workload = WORKLOADS[name]
            if name not in [row["workload"] for row in read_rows(arguments.out / "workloads.csv")]:
                append_rows(arguments.out / "workloads.csv", WORKLOAD_COLUMNS, [[name, *vars(workload).values()]])
            parameters = {column: getattr(workload, column) for column in ("cgroups", "files", "keep", "warm_ms")}
            for _ in range(arguments.runs):
                run = next_run(memory_csv, arguments.kernel, cpus, name)
                records = boot(arguments, initramfs, cpus, parameters)
                rows: list[list[object]] = []
                for record in (r for r in records if r[0] == "@figures"):
                    removed = workload.cgroups if record[1] == "settled" else 0
                    rows.append([arguments.kernel, cpus, name, run, removed, *record[1:]])
                    print(*rows[-1], flush=True)
                append_rows(memory_csv, MEMORY_COLUMNS, rows)
                if run == 1:
                    append_rows(
                        arguments.out / "vm_slabs.csv", SLAB_COLUMNS, slab_rows(records, [arguments.kernel, cpus, name])
                    )


def measure_calls(arguments: argparse.Namespace, initramfs: Path) -> None:
    """Count the calls of charge-path functions on CPU 0 at each depth and append the rows."""
    for cpus in arguments.cpus:
        for depth in arguments.depths:
            parameters = {"mode": "calls", "depth": depth, "files": arguments.files, "pipes": arguments.pipes}
            records = boot(arguments, initramfs, cpus, parameters)
            rows = [
                [arguments.kernel, cpus, depth, arguments.files, phase, function, calls]
                for _, phase, cpu, function, calls in (r for r in records if r[0] == "@calls")
                if cpu == "0"
            ]
            append_rows(arguments.out / "ftrace_calls.csv", CALL_COLUMNS, rows)
            print(f"{arguments.kernel}: {len(rows)} functions counted at depth {depth}", flush=True)


def number_list(text: str) -> list[int]:
    """Parse "1,2,8"."""
    return [int(part) for part in text.split(",")]


def workload_list(text: str) -> list[str]:
    """Parse "keep1,keep0" and check the names."""
    names = text.split(",")
    for name in names:
        if name not in WORKLOADS:
            raise argparse.ArgumentTypeError(f"no workload {name!r}, there are: {', '.join(WORKLOADS)}")
    return names


def parse_arguments() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--bzimage", type=Path, required=True, help="kernel image to boot")
    common.add_argument("--kernel", required=True, help="name of the kernel in the rows, e.g. 5.2.1")
    common.add_argument("--cpus", type=number_list, default=[2], help="CPU counts, e.g. 1,2,8")
    common.add_argument("--out", type=Path, default=Path("."), help="directory of the csv files")
    common.add_argument("--init", type=Path, help="compiled init program (default: compile init.c next to this file)")
    common.add_argument("--qemu", default="qemu-system-x86_64", help="QEMU program")
    common.add_argument("--timeout", type=int, default=600, help="seconds one boot may take")
    modes = parser.add_subparsers(dest="mode", required=True)
    memory = modes.add_parser("memory", parents=[common], help="memory before and after the churn")
    memory.add_argument("--workloads", type=workload_list, default=["keep1", "keep0"], help="e.g. keep1,keep0")
    memory.add_argument("--runs", type=int, default=3, help="boots of each workload and CPU count")
    calls = modes.add_parser("calls", parents=[common], help="calls of charge-path functions")
    calls.add_argument("--depths", type=number_list, default=[1], help="depths of the cgroup, e.g. 1,2,3")
    calls.add_argument("--files", type=int, default=2000, help="files created and unlinked")
    calls.add_argument("--pipes", type=int, default=20000, help="pipes opened and closed")
    return parser.parse_args()


def main() -> int:
    """Measure what the command line asks for; return the exit code."""
    arguments = parse_arguments()
    try:
        arguments.out.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory() as scratch:
            init, initramfs = arguments.init, Path(scratch) / "initramfs.gz"
            if not init:
                init = Path(scratch) / "init"
                compile_init(Path(__file__).with_name("init.c"), init)
            build_initramfs(init, initramfs)
            (measure_memory if arguments.mode == "memory" else measure_calls)(arguments, initramfs)
    except (MeasureError, OSError) as error:
        print(f"measure.py: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
