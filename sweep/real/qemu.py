"""Boots of a kernel under QEMU: what they cost, whether KVM runs, and the console that each leaves."""

from __future__ import annotations

import contextlib
import functools
import re
import shutil
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from sweep.errors import InputError
from sweep.places import cache_folder
from sweep.real.cache import once_per_node
from sweep.real.guest import GuestError, Records, initramfs, read_console

QEMU = "qemu-system-x86_64"
KVM = Path("/dev/kvm")
PEEK_S = 0.5  # between looks at whether a guest ended
PROBE_S = 20  # a guest that has not come up on KVM by then never will; TCG takes some 4 s
QEMU_MIB = 256  # QEMU's own memory beside the guest's: 240 MB resident under TCG
# quiet: the console is for records. On a busy host the emulated timer can be too late for the check at boot.
COMMAND_LINE = "console=ttyS0 quiet panic=-1 no_timer_check"
# guest time by counted instructions, its clock and its random numbers from a fixed start
DETERMINISTIC = ("-icount", "shift=3,sleep=off", "-rtc", "base=2026-01-01,clock=vm")


@dataclass(frozen=True)
class VirtualMachine:
    """A virtual machine, but for what runs in it."""

    cpus: int
    memory_mib: int
    accel: str  # kvm or tcg
    icount: bool  # guest time by counted instructions: one CPU, and the same figures at each boot
    time_limit_s: float
    seed: int = 0  # of the random numbers that a guest is given under icount


def qemu() -> str:
    """Return QEMU's path; raise InputError if there is none."""
    found = shutil.which(QEMU)
    if found is None:
        raise InputError(
            f"backend=vm must have {QEMU} (got none on PATH); install it (Debian: qemu-system-x86), or use "
            "backend=model"
        )
    return found


@functools.cache
def qemu_version() -> str:
    """Return QEMU's version and the start of its program's sha256: what rows of a virtual machine depend on."""
    said = subprocess.run([qemu(), "--version"], capture_output=True, text=True, check=True).stdout
    number = re.search(r"version (\S+)", said)
    return f"{number[1] if number else said.strip()} {sha256(Path(qemu()).read_bytes()).hexdigest()[:12]}"


def accelerator(wanted: str, kernel: Path) -> str:
    """Return kvm or tcg. 'auto' is KVM where a probe boot of `kernel` comes to its end in time: /dev/kvm may open and
    still never run a guest.

    Raises InputError if KVM is asked for and does not run.
    """
    if wanted == "tcg":
        return "tcg"
    if not KVM.exists():
        usable = False
    else:
        verdict = cache_folder("vm") / f"kvm-{_boot_id()}"
        once_per_node(verdict, lambda path: path.write_text("yes" if _probe(kernel) else "no"))
        usable = verdict.read_text() == "yes"
    if wanted == "kvm" and not usable:
        raise InputError(f"vm.accel must be what runs here (got 'kvm', which boots no guest in {PROBE_S} s); use auto")
    return "kvm" if usable else "tcg"


def _boot_id() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def _probe(kernel: Path) -> bool:
    try:
        boot(kernel, VirtualMachine(1, 512, "kvm", icount=False, time_limit_s=PROBE_S), {"measure": "boot"})
    except GuestError:
        return False
    return True


def boot(kernel: Path, machine: VirtualMachine, parameters: Mapping[str, str | int]) -> Records:
    """Boot `kernel` once with the guest program and its parameters; return what it measured.

    Raises GuestError, in one line that says where the console is kept, if it panics, hangs or stops.
    """
    words = [f"churn_{name}={value}" for name, value in parameters.items()]
    # the probes and the profiler patch code that other CPUs may be running; under multi-threaded TCG some guests crash
    single = machine.accel == "tcg" and parameters["measure"] == "counts"
    command = [
        *(qemu(), "-M", "q35", "-nodefaults", "-display", "none", "-serial", "stdio", "-no-reboot"),
        *("-accel", "tcg,thread=single" if single else machine.accel),
        *("-smp", str(machine.cpus), "-m", f"{machine.memory_mib}M"),
        *((*DETERMINISTIC, "-seed", str(machine.seed)) if machine.icount else ()),
        *(
            "-kernel",
            str(kernel),
            "-initrd",
            str(initramfs()),
            "-append",
            " ".join([COMMAND_LINE, *["nokaslr"] * machine.icount, *words]),
        ),
    ]
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        try:
            out, err, waited_s = _ended(process, machine.time_limit_s)
        except BaseException:
            process.kill()
            raise
    if waited_s is None:
        reason = f"the guest did not end in {machine.time_limit_s:g} s (vm.time_limit_s)"
        raise GuestError(_kept(reason, command, out, err))
    if process.returncode:
        said = (err.decode(errors="replace").strip() or f"exit status {process.returncode}").splitlines()[-1]
        raise GuestError(_kept(f"QEMU failed: {said}", command, out, err))
    try:
        records = read_console(out.decode(errors="replace"))
    except GuestError as error:
        raise GuestError(_kept(str(error), command, out, err)) from None
    records.host_waited_s = waited_s
    return records


def _ended(process: subprocess.Popen[bytes], limit_s: float) -> tuple[bytes, bytes, float | None]:
    """Return what QEMU printed, and how long it waited for a core of the host; None for that if the limit ended it.

    What a busy host makes a guest wait does not count: the limit is there for guests that hang.
    """
    began, waited_s = time.monotonic(), 0.0
    while True:
        try:
            return *process.communicate(timeout=PEEK_S), waited_s
        except subprocess.TimeoutExpired:
            waited_s = max(waited_s, _waited_s(process.pid))
            if time.monotonic() - began - waited_s > limit_s:
                process.kill()
                return *process.communicate(), None


def _waited_s(pid: int) -> float:
    """Return how long the thread of a process that waited longest was ready to run, and did not."""
    waited_ns = [0]
    for path in Path(f"/proc/{pid}/task").glob("*/schedstat"):
        with contextlib.suppress(OSError):
            waited_ns.append(int(path.read_text().split()[1]))
    return max(waited_ns) / 1e9


def _kept(reason: str, command: list[str], out: bytes, err: bytes) -> str:
    folder = cache_folder("vm/consoles")
    path = folder / f"{time.time_ns()}.txt"
    path.write_bytes(" ".join(command).encode() + b"\n" + out + err)
    return f"{reason}; its console: {path}"
