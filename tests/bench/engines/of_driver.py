"""What Ray takes of a driver: `of_driver.py TASKS` prints CPU-ms and bytes a task, and us a handle waited for."""

import json
import os
import resource
import sys
import time
from pathlib import Path

HANDLES = 2000


def cpu_s():
    """Return the CPU-seconds of this process so far."""
    spent = resource.getrusage(resource.RUSAGE_SELF)
    return spent.ru_utime + spent.ru_stime


def resident():
    """Return the bytes of this process that are in memory."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


if __name__ == "__main__":
    import ray

    tasks = int(sys.argv[1])
    ray.init(address="local", num_cpus=1, include_dashboard=False, log_to_driver=False, _node_ip_address="127.0.0.1")

    @ray.remote
    def nothing(_plan, _root, _code, task):
        """Return what a task returns."""
        return task, 1, 0.1

    @ray.remote
    def long():
        """Outlast the measurement."""
        time.sleep(600)

    plan = ray.put(b"x" * 20_000)
    ray.get([nothing.remote(plan, "root", "code", (at, at + 1)) for at in range(100)])
    began, before = cpu_s(), resident()
    handles = [nothing.remote(plan, "root", "code", (at, at + 1)) for at in range(tasks)]
    held = (resident() - before) / tasks
    ray.get(handles)
    each_ms = 1e3 * (cpu_s() - began) / tasks
    waiting = [long.remote() for _ in range(HANDLES)]
    began = cpu_s()
    for _ in range(10):
        ray.wait(waiting, num_returns=1, timeout=0.01)
    print(json.dumps({"ms": each_ms, "bytes": held, "us_per_handle": 1e5 * (cpu_s() - began) / HANDLES}))
    ray.shutdown()
