"""One point on a real kernel in a virtual machine."""

from __future__ import annotations

import time

from sweep.config.schema import Vm
from sweep.real import guest, qemu
from sweep.real.rows import MEMORY_FIGURES, Call, Row, Slab


def boot_and_fill(row: Row, vm: Vm) -> None:
    """Boot the kernel of a row and fill in what was measured.

    Raises GuestError, in one line, if the guest panics, hangs or stops.
    """
    case, kernel = row.case, row.kernel.image()
    accel = "tcg" if vm.icount else qemu.accelerator(vm.accel, kernel)
    machine = qemu.VirtualMachine(case.cpus, vm.memory_mib, accel, vm.icount, vm.time_limit_s, case.replicate)
    given = guest.parameters(case.program, case.measure, depth=case.depth, cgroup_version=case.cgroup_version)
    began = time.monotonic()
    records = qemu.boot(kernel, machine, given)
    host_s = time.monotonic() - began
    row.settings = {
        "accel": accel,
        "qemu": qemu.qemu_version(),
        "program_sha256": guest.program_digest(),
        "in_flight_memcgs": records.in_flight,
        "guest_us_per_cgroup": records.us_per("churn"),
        "guest_us_per_object": records.us_per("object"),
        "host_s": host_s,
        "host_waited_s": records.host_waited_s,
    }
    fill(row, records)


def fill(row: Row, records: guest.Records) -> None:
    """Fill in a row from what a guest printed."""
    if records.memory:
        before, after = records.memory["before"], records.memory["after"]
        row.memory = {name: (float(before[at]), float(after[at])) for at, name in enumerate(MEMORY_FIGURES)}
    for name, times in records.slabs.items():
        object_bytes, objects, pages = next(iter(times.values()))[2:]
        before, after = (times.get(when, (0, 0)) for when in guest.WHENS)
        row.slabs[name] = Slab(object_bytes, objects, pages, (before[0], before[1]), (after[0], after[1]))
    for key, hits in records.calls.items():
        row.calls[key] = Call(hits.get("before", (0, 0)), hits["after"])
    row.operations = {
        phase: (number, records.us_per(phase)) for phase, (_, number) in records.seconds.items() if number
    }
