"""Cores and memory that one may use, on made-up machines."""

import os

import pytest

from sweep.engine import usable

MEMINFO = "MemTotal:       16777216 kB\nMemFree:        1 kB\n"
MACHINES = [
    ({}, 8, 16 << 30),
    ({"proc/self/cgroup": "0::/\n"}, 8, 16 << 30),
    (  # docker --cpus=2 --memory=1g on cgroup v2
        {
            "proc/self/cgroup": "0::/\n",
            "sys/fs/cgroup/cpu.max": "200000 100000",
            "sys/fs/cgroup/memory.max": "1073741824",
        },
        2,
        1 << 30,
    ),
    (  # a service below a slice that has less
        {
            "proc/self/cgroup": "0::/a.slice/b.service\n",
            "sys/fs/cgroup/a.slice/cpu.max": "150000 100000",
            "sys/fs/cgroup/a.slice/b.service/cpu.max": "max 100000",
            "sys/fs/cgroup/a.slice/memory.max": "max",
        },
        1,
        16 << 30,
    ),
    (  # cgroup v1
        {
            "proc/self/cgroup": "4:cpu,cpuacct:/job\n3:memory:/job\n",
            "sys/fs/cgroup/cpu,cpuacct/job/cpu.cfs_quota_us": "400000",
            "sys/fs/cgroup/cpu,cpuacct/job/cpu.cfs_period_us": "100000",
            "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us": "-1",
            "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us": "100000",
            "sys/fs/cgroup/memory/job/memory.limit_in_bytes": "2147483648",
            "sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712",
        },
        4,
        2 << 30,
    ),
    ({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "20000 100000"}, 1, 16 << 30),
]


@pytest.mark.parametrize(("files", "cores", "memory"), MACHINES)
def test_what_a_cgroup_leaves(files, cores, memory, tmp_path, monkeypatch):
    """Quotas and limits of this cgroup and of all above it count, of version 1 and 2; a core is left in any case."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)))
    for name, text in ({"proc/meminfo": MEMINFO} | files).items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)

    assert usable.cores(tmp_path) == cores
    assert usable.memory_bytes(tmp_path) == memory
    assert usable.workers(tmp_path) == max(1, min(cores, memory // usable.WORKER_BYTES))


def test_affinity_counts():
    """A process pinned to one CPU has one core, however many there are."""
    before = os.sched_getaffinity(0)
    try:
        os.sched_setaffinity(0, {min(before)})
        assert usable.cores() == usable.workers() == 1
    finally:
        os.sched_setaffinity(0, before)
