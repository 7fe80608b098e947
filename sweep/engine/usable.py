"""What of this machine one may use: cores by affinity and by a cgroup's quota, memory by a cgroup's limit."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

WORKER_BYTES = 400 << 20  # of a worker with Ray, Arrow and compiled code; assumption, above the 250 to 300 MiB seen
UNLIMITED_BYTES = 1 << 60  # bytes; cgroup v1 says "none" by a number near 2^63


def cores(root: Path = Path("/")) -> int:
    """Return how many cores this process may keep busy, at least 1. root: where /proc and /sys are found."""
    quotas = [*_quotas_v2(root), *_quotas_v1(root)]
    return max(1, int(min([len(os.sched_getaffinity(0)), *quotas])))


def memory_bytes(root: Path = Path("/")) -> int:
    """Return how much memory this process and its children may have."""
    limits = [int(text) for text in _read(root, "memory", "memory.max") if text != "max"]
    limits += [int(text) for text in _read(root, "memory", "memory.limit_in_bytes") if int(text) < UNLIMITED_BYTES]
    total = next(line for line in (root / "proc/meminfo").read_text().splitlines() if line.startswith("MemTotal:"))
    return min([int(total.split()[1]) << 10, *limits])


def workers(root: Path = Path("/")) -> int:
    """Return how many workers fit: one a core, and none that would not find its memory; at least 1."""
    return max(1, min(cores(root), memory_bytes(root) // WORKER_BYTES))


def _quotas_v2(root: Path) -> Iterator[float]:
    for text in _read(root, "cpu", "cpu.max"):
        quota, period = text.split()
        if quota != "max":
            yield int(quota) / int(period)


def _quotas_v1(root: Path) -> Iterator[float]:
    quotas, periods = _read(root, "cpu", "cpu.cfs_quota_us"), _read(root, "cpu", "cpu.cfs_period_us")
    for quota, period in zip(quotas, periods, strict=False):
        if int(quota) > 0:
            yield int(quota) / int(period)


def _read(root: Path, controller: str, name: str) -> Iterator[str]:
    """Yield what a file says in this process's cgroup and in every one above it, wherever they are mounted."""
    try:
        lines = (root / "proc/self/cgroup").read_text().splitlines()
    except OSError:
        return
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers and controller not in controllers.split(","):
            continue
        inside = PurePosixPath(path.lstrip("/"))
        for mount in dict.fromkeys((controllers, controllers and controller)):  # v1 has them together, or linked
            for place in (inside, *inside.parents):
                try:
                    yield (root / "sys/fs/cgroup" / mount / place / name).read_text().strip()
                except OSError:
                    continue  # not delegated, or another kind of hierarchy
