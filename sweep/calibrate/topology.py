"""Where the CPUs of this node sit: cores, L3 groups, sockets and NUMA nodes, read from /sys for the CPUs we may use."""

from __future__ import annotations

import os
import platform
import re
from dataclasses import dataclass
from pathlib import Path

TELLING = ("lse", "lse2", "cx16")  # features that decide how an atomic is compiled; without lse Arm loops on LL/SC
CLASSES = ("smt", "l3", "socket", "cross")
_SYSFS = Path("/sys/devices/system")


@dataclass(frozen=True, order=True)
class Cpu:
    """One CPU; core, l3, socket and node are the numbers of what it is part of."""

    socket: int
    node: int
    l3: int
    core: int
    cpu: int


def usable_cpus() -> list[Cpu]:
    """CPUs of this process's affinity mask (os.cpu_count() knows nothing of it), first threads of all cores first."""
    node_of = {
        cpu: int(path.parent.name.removeprefix("node"))
        for path in _SYSFS.glob("node/node[0-9]*/cpulist")
        for cpu in parse_cpulist(path.read_text())
    }
    cpus = sorted(_cpu(cpu, node_of.get(cpu, 0)) for cpu in os.sched_getaffinity(0))
    seen: set[tuple[int, int]] = set()
    first = [c for c in cpus if (c.socket, c.core) not in seen and not seen.add((c.socket, c.core))]  # type: ignore[func-returns-value]
    return first + [c for c in cpus if c not in first]


def distance(a: Cpu, b: Cpu) -> str:
    """Class of a pair, one of CLASSES. Within a socket that has one L3 the class is `socket`."""
    if a.socket != b.socket:
        return "cross"
    if a.core == b.core:
        return "smt"
    return "l3" if a.l3 == b.l3 and a.l3 >= 0 else "socket"


def _cpu(cpu: int, node: int) -> Cpu:
    base = _SYSFS / f"cpu/cpu{cpu}"
    l3 = sorted(parse_cpulist(_read(base / "cache/index3/shared_cpu_list")))
    socket_cpus = parse_cpulist(_read(base / "topology/package_cpus_list"))
    return Cpu(
        socket=int(_read(base / "topology/physical_package_id") or 0),
        node=node,
        l3=l3[0] if l3 and set(l3) != socket_cpus else -1,
        core=min(parse_cpulist(_read(base / "topology/thread_siblings_list")) or {cpu}),
        cpu=cpu,
    )


def parse_cpulist(text: str) -> set[int]:
    """'0-2,8' -> {0, 1, 2, 8}."""
    spans = (span.split("-") for span in text.strip().split(",") if span)
    return {cpu for span in spans for cpu in range(int(span[0]), int(span[-1]) + 1)}


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:  # a container or an older kernel may not show it
        return ""


def machine() -> dict[str, str]:
    """What identifies a type of node and what a price may depend on."""
    from llvmlite.binding import get_host_cpu_features, llvm_version_info  # not for whoever asks for --help

    fields = dict(re.findall(r"^([^\t\n:]+?)\s*:\s*(.*)$", _read(Path("/proc/cpuinfo")).split("\n\n")[0], re.MULTILINE))
    x86 = ("vendor_id", "cpu family", "model", "stepping", "microcode")
    arm = ("CPU implementer", "CPU part", "CPU variant", "CPU revision")
    return {
        "model": fields.get("model name", platform.machine()),
        "type": "/".join(fields[key] for key in (x86 if "vendor_id" in fields else arm) if key in fields),
        "architecture": platform.machine(),
        "kernel": platform.release(),
        "governor": _read(_SYSFS / "cpu/cpu0/cpufreq/scaling_governor").strip() or "not shown",
        "virtual": str("hypervisor" in fields.get("flags", "")),
        "llvm": ".".join(map(str, llvm_version_info)),
        "cpu_features": ",".join(
            sorted(name for name, on in get_host_cpu_features().items() if on and name in TELLING)
        ),
    }
