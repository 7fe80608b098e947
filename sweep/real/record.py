"""Record what a host's cgroups allocate: the `charge` block of a workload, from a tracefs instance of one's own.

    python -m sweep.real.record --seconds 10 > charge.yaml

As root. It counts kmem:kmem_cache_alloc events with accounted=true (the event says the cache's name since 6.1), then
removes its instance. Where that cannot be done it says so in one line.
"""

from __future__ import annotations

import argparse
import os
import re
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

TRACEFS = ("/sys/kernel/tracing", "/sys/kernel/debug/tracing")
ALLOC_EVENT = "events/kmem/kmem_cache_alloc"
ALLOCATED = re.compile(r"kmem_cache_alloc: .*\bname=(\S+) .*\baccounted=true")
LEAST_CACHE_SHARE = 0.005  # caches below are left out
BAD_INPUT = 2


def counted(lines: Iterable[str]) -> Counter[str]:
    """Return how many accounted objects were allocated, by kmem_cache."""
    return Counter(found[1] for line in lines if (found := ALLOCATED.search(line)))


def charge_block(objects: Counter[str], seconds: float, cpus: int) -> Iterator[str]:
    """Yield the lines of a `charge` block: rate per CPU, and the share of each cache."""
    total = sum(objects.values())
    yield f"# {total} accounted objects in {seconds:g} s on {cpus} CPUs"
    yield "charge:"
    yield f"  allocations_hz_per_cpu: {total / seconds / cpus:.6g}"
    yield "  caches:"
    kept = {name: number for name, number in objects.most_common() if number >= LEAST_CACHE_SHARE * total}
    for name, number in kept.items():
        yield f"    {name}: {number / sum(kept.values()):.4f}"


@contextmanager
def own_instance() -> Iterator[Path]:
    """A tracefs instance that is gone afterwards; raises OSError, in words, where there can be none."""
    top = next((Path(place) for place in TRACEFS if (Path(place) / "instances").is_dir()), None)
    if top is None:
        raise OSError(
            f"no tracefs is mounted at {' or '.join(TRACEFS)}: mount -t tracefs tracefs {TRACEFS[0]}, as root"
        )
    path = top / "instances" / f"memcg-sweep-{os.getpid()}"
    path.mkdir()
    try:
        if not (path / ALLOC_EVENT).is_dir():
            raise OSError(f"this kernel has no {ALLOC_EVENT}")
        if "name" not in (path / ALLOC_EVENT / "format").read_text(encoding="ascii"):
            raise OSError(f"{ALLOC_EVENT} says no cache's name on this kernel (6.1 and later do)")
        yield path
    finally:
        path.rmdir()


def recorded(seconds: float) -> Counter[str]:
    """Count for some seconds; the pipe is read as it fills, so that no event is dropped for want of room."""
    objects: Counter[str] = Counter()
    with own_instance() as path:
        (path / ALLOC_EVENT / "filter").write_text("accounted==1", encoding="ascii")
        (path / ALLOC_EVENT / "enable").write_text("1", encoding="ascii")
        pipe = os.open(path / "trace_pipe", os.O_RDONLY | os.O_NONBLOCK)
        try:
            until, rest = time.monotonic() + seconds, ""
            while time.monotonic() < until:
                try:
                    *lines, rest = (rest + os.read(pipe, 1 << 16).decode(errors="replace")).split("\n")
                    objects += counted(lines)
                except BlockingIOError:
                    time.sleep(0.01)
        finally:
            (path / ALLOC_EVENT / "enable").write_text("0", encoding="ascii")
            os.close(pipe)
    return objects


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; exit 2, with one line, where nothing can be recorded."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=10.0, metavar="N", help="how long to count (10)")
    seconds = parser.parse_args(arguments).seconds
    try:
        objects = recorded(seconds)
    except OSError as error:
        print(f"record: nothing was recorded: {error}", file=sys.stderr)
        return BAD_INPUT
    if not objects:
        print("record: nothing was recorded: no accounted object was allocated; raise --seconds", file=sys.stderr)
        return BAD_INPUT
    print(*charge_block(objects, seconds, os.cpu_count() or 1), sep="\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
