"""What `backend=live` runs on the node's own kernel: a process of the standard library that dies with its parent.

    python -I churn.py '{"do": "churn", ...}'

`churn` makes and removes cgroups, in each of which a child makes files and unlinks all but a few. `cost` times pairs of
system calls in a cgroup and in the root, which is not charged. One line of JSON on stdout says what came of it.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import signal
import socket
import sys
import time
from collections.abc import Callable
from typing import Any

PR_SET_PDEATHSIG = 1
CHUNK = 100  # operations between two looks at the clock
CHUNKS = 12  # in one place, before the process moves to the other
TURNS = 8
SAMPLE_EVERY = 10  # cgroups between looks at how many removed ones are in flight


def die_with_parent() -> None:
    """Ask the kernel for SIGKILL when whoever started this process ends."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def enter(cgroup: str) -> None:
    """Move this process into a cgroup."""
    with open(f"{cgroup}/cgroup.procs", "w", encoding="ascii") as file:
        file.write(str(os.getpid()))


def churn(asked: dict[str, Any]) -> dict[str, Any]:
    """Make and remove the cgroups, one after the other; return how long each took, each object, and what was in flight.

    in_flight: removed cgroups that are still there, in the mean; None on cgroup v1, which says it of the whole host.
    """
    began, flying, reads_writes = time.monotonic(), [], os.pipe()
    for number in range(asked["cgroups"]):
        cgroup = f"{asked['base']}/{number}"
        os.mkdir(cgroup)
        child = os.fork()
        if not child:
            die_with_parent()
            os._exit(_work(cgroup, number, reads_writes[1], asked))
        _, status = os.waitpid(child, 0)
        if status:
            raise OSError(f"the child in {cgroup} ended with {status}")
        os.rmdir(cgroup)
        if number % SAMPLE_EVERY == SAMPLE_EVERY - 1:
            flying += _dying(asked["base"])
        if time.monotonic() - began > asked["limit_s"]:
            raise OSError(f"no more time after {number + 1} cgroups ({asked['limit_s']:g} s)")
    took_s = time.monotonic() - began
    os.close(reads_writes[1])
    with os.fdopen(reads_writes[0], "rb") as said:
        making_ns = sum(map(int, said.read().split()))
    return {
        "us_per_cgroup": took_s / asked["cgroups"] * 1e6,
        "us_per_object": making_ns / 1e3 / (asked["cgroups"] * asked["files"]) if asked["files"] else None,
        "in_flight": sum(flying) / len(flying) if flying else None,
    }


def _dying(cgroup: str) -> list[int]:
    with contextlib.suppress(OSError), open(f"{cgroup}/cgroup.stat", encoding="ascii") as file:
        return [int(line.split()[1]) for line in file if line.startswith("nr_dying_descendants ")]
    return []


def _work(cgroup: str, number: int, tell: int, asked: dict[str, Any]) -> int:
    """What the process in a cgroup does, as `churn_process` of guest.c."""
    try:
        enter(cgroup)
        warm = f"{asked['files_in']}/warm"  # the kernel makes the cgroup's own kmem_caches (before 5.9)
        _make(warm)
        os.unlink(warm)
        os.mkdir(warm)
        os.rmdir(warm)
        time.sleep(asked["warm_ms"] / 1000)
        began, paths = time.monotonic_ns(), [f"{asked['files_in']}/{number}.{file}" for file in range(asked["files"])]
        for path in paths:
            _make(path)
        for path in paths[asked["keep"] :]:
            os.unlink(path)
        os.write(tell, b"%d\n" % (time.monotonic_ns() - began))
    except OSError:
        return 1
    return 0


def _make(path: str) -> None:
    os.close(os.open(path, os.O_CREAT | os.O_WRONLY, 0o600))


def _open_close(folder: str) -> None:  # noqa: ARG001 (every operation is told the folder)
    os.close(os.open("/dev/null", os.O_RDONLY))


def _pipe(folder: str) -> None:  # noqa: ARG001
    for end in os.pipe():
        os.close(end)


def _socketpair(folder: str) -> None:  # noqa: ARG001
    for end in socket.socketpair():
        end.close()


def _create_unlink(folder: str) -> None:
    path = f"{folder}/file-{os.getpid()}"
    _make(path)
    os.unlink(path)


OPERATIONS: dict[str, Callable[[str], None]] = {
    "open+close": _open_close,
    "pipe": _pipe,
    "socketpair": _socketpair,
    "create+unlink": _create_unlink,
}


def cost(asked: dict[str, Any]) -> dict[str, Any]:
    """Time every operation, on as many pinned processes as there are CPUs; return nanoseconds of chunks by place."""
    ends = []
    for cpu in asked["cpus"]:
        reads, writes = os.pipe()
        child = os.fork()
        if not child:
            die_with_parent()
            os.close(reads)
            os.sched_setaffinity(0, {cpu})
            with os.fdopen(writes, "w", encoding="ascii") as out:
                json.dump(_timed(asked), out)
            os._exit(0)
        os.close(writes)
        ends.append((child, reads))
    found = []
    for child, reads in ends:
        with os.fdopen(reads, encoding="ascii") as said:
            text = said.read()
        _, status = os.waitpid(child, 0)
        if status or not text:
            raise OSError(f"a child on a CPU ended with {status}")
        found.append(json.loads(text))
    return {"cpus": found}


def _timed(asked: dict[str, Any]) -> dict[str, dict[str, list[float]]]:
    found: dict[str, dict[str, list[float]]] = {name: {place: [] for place in asked["places"]} for name in OPERATIONS}
    for name, operation in OPERATIONS.items():
        for turn in range(TURNS):
            places = list(asked["places"].items())
            for place, cgroup in places if turn % 2 else places[::-1]:
                enter(cgroup)
                for chunk in range(CHUNKS):
                    began = time.perf_counter_ns()
                    for _ in range(CHUNK):
                        operation(asked["files_in"])
                    if chunk:  # the first warms caches and stocks up
                        found[name][place].append((time.perf_counter_ns() - began) / CHUNK)
    return found


def main() -> int:
    """Do what is asked for; a failure is one line on stderr and exit status 1."""
    die_with_parent()
    asked = json.loads(sys.argv[1])
    try:
        done = {"churn": churn, "cost": cost}[asked["do"]](asked)
    except OSError as error:
        with contextlib.suppress(OSError):
            print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 1
    json.dump(done, sys.stdout)
    return 0


if __name__ == "__main__":
    sys.exit(main())
