"""The program that a virtual machine runs as its PID 1: built once per node, packed into an initramfs, read back.

`guest.c` is the program. It prints records on the serial console; what is read back is raw: counts of objects, KiB and
calls before and after, nothing subtracted.
"""

from __future__ import annotations

import functools
import gzip
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from hashlib import blake2b, sha256
from pathlib import Path

from core.workload import TmpfsProgram
from sweep.errors import InputError
from sweep.places import cache_folder
from sweep.real.cache import once_per_node

SOURCE = Path(__file__).with_name("guest.c")
COMPILE = ("gcc", "-O2", "-static")
GUEST_FIGURES = ("dying_memcgs", "memcg_kmem_caches", "slab_kib", "sunreclaim_kib", "sreclaimable_kib", "percpu_kib")
SLAB = ("active_objects", "total_objects", "object_bytes", "objects_per_slab", "pages_per_slab")
WHENS = ("before", "after")


class GuestError(RuntimeError):
    """A virtual machine that did not measure; the message is one line."""


@dataclass
class Records:
    """What a guest printed.

    memory: by 'before' and 'after', the GUEST_FIGURES. slabs: by kmem_cache and 'before' or 'after', those of SLAB.
    calls: by phase, function and 'before' or 'after', hits and misses. seconds: by phase, how long it took and how many
    operations it had. in_flight: mean number of dying memcgs while cgroups came and went. missing: functions that this
    kernel cannot count. host_waited_s: how long the guest waited for a core of its host, which it cannot know itself.
    """

    memory: dict[str, tuple[int, ...]] = field(default_factory=dict)
    slabs: dict[str, dict[str, tuple[int, ...]]] = field(default_factory=dict)
    calls: dict[tuple[str, str], dict[str, tuple[int, int]]] = field(default_factory=dict)
    seconds: dict[str, tuple[float, int]] = field(default_factory=dict)
    in_flight: float | None = None
    missing: list[str] = field(default_factory=list)
    host_waited_s: float = field(default=0.0, compare=False)

    def us_per(self, phase: str) -> float | None:
        """Return guest time per operation of a phase; None if it had none."""
        took_s, number = self.seconds.get(phase, (0.0, 0))
        return took_s / number * 1e6 if number else None


def parameters(program: TmpfsProgram, measure: str, *, depth: int, cgroup_version: int) -> dict[str, str | int]:
    """Return what guest.c reads from the kernel command line."""
    names = ("cgroups", "files", "keep", "warm_ms", "data_kib", "hold", "pin", "counted_files", "counted_pipes")
    common: dict[str, str | int] = {"measure": measure, "depth": depth, "cgroup_version": cgroup_version}
    return common | {name: getattr(program, name) for name in names}


def source_digest() -> str:
    """Name the program by its source and how it is compiled: 12 hex digits."""
    return blake2b(SOURCE.read_bytes() + " ".join(COMPILE).encode(), digest_size=6).hexdigest()


def initramfs() -> Path:
    """Return the archive that holds the program, made once per node.

    Raises InputError where there is no compiler, and GuestError where it fails.
    """
    path = cache_folder("vm") / f"initramfs-{source_digest()}.gz"
    once_per_node(path, _make_initramfs)
    return path


@functools.cache
def program_digest() -> str:
    """Return the sha256 of the archive, which differs between compilers and C libraries."""
    return sha256(initramfs().read_bytes()).hexdigest()


def _make_initramfs(path: Path) -> None:
    if shutil.which(COMPILE[0]) is None:
        raise InputError(
            f"backend=vm must have {COMPILE[0]} to build its guest program (got none on PATH); "
            "install gcc and a static C library, or use backend=model"
        )
    with tempfile.TemporaryDirectory() as scratch:
        init = Path(scratch) / "init"
        done = subprocess.run(
            [*COMPILE, "-o", str(init), str(SOURCE)], capture_output=True, text=True, check=False, env=_plain()
        )
        if done.returncode:
            said = (done.stderr.strip() or "no reason given").splitlines()[-1]
            raise GuestError(f"the guest program cannot be compiled: {said}; is there a static C library (libc6-dev)?")
        path.write_bytes(gzip.compress(archive(init.read_bytes()), mtime=0))


def _plain() -> dict[str, str]:
    return os.environ | {"LC_ALL": "C"}


def archive(program: bytes) -> bytes:
    """Return a cpio archive in the "newc" format, which kernels unpack: /init, and a console for what it prints."""
    members = (
        cpio_member("dev", 0o40755),
        cpio_member("dev/console", 0o20600, device=(5, 1)),
        cpio_member("init", 0o100755, program),
        cpio_member("TRAILER!!!", 0),
    )
    return b"".join(members)


def cpio_member(name: str, mode: int, content: bytes = b"", device: tuple[int, int] = (0, 0)) -> bytes:
    fields = (0, mode, 0, 0, 1, 0, len(content), 0, 0, *device, len(name) + 1, 0)
    header = b"070701" + b"".join(b"%08X" % number for number in fields) + name.encode() + b"\0"
    return header + b"\0" * (-len(header) % 4) + content + b"\0" * (-len(content) % 4)


def read_console(console: str) -> Records:
    """Return the records of a console.

    Raises GuestError if the program says that it failed, or did not come to its end.
    """
    found, ended = Records(), False
    for kind, fields in _lines(console):
        if kind == "@error":
            what, errno = " ".join(fields[:-1]), int(fields[-1])
            raise GuestError(f"the guest program failed at {what}: {os.strerror(errno)}")
        ended = ended or kind == "@done"
        _add(found, kind, fields)
    if not ended:
        raise GuestError(f"the guest stopped before the end: {_last_words(console)}")
    return found


def _lines(console: str) -> Iterator[tuple[str, list[str]]]:
    for line in console.splitlines():
        # the kernel may print into a line; a record starts where its sign is
        if (at := line.find("@")) >= 0 and (words := line[at:].split()):
            yield words[0], words[1:]


def _add(found: Records, kind: str, fields: list[str]) -> None:
    if kind == "@memory":
        found.memory[fields[0]] = _numbers(fields[1:])
    elif kind == "@slab":
        found.slabs.setdefault(fields[1], {})[fields[0]] = _numbers(fields[2:])
    elif kind == "@calls":
        phase, when, function, hits, misses = fields
        times = found.calls.setdefault((phase, function), {})
        had = times.get(when, (0, 0))  # the function profiler has a table per CPU
        times[when] = had[0] + int(hits), had[1] + int(misses)
    elif kind == "@time":
        found.seconds[fields[0]] = int(fields[1]) / 1e9, int(fields[2])
    elif kind == "@flight":
        samples, dying = _numbers(fields)
        found.in_flight = dying / samples if samples else None
    elif kind == "@missing":
        found.missing.append(fields[0])


def _numbers(fields: Iterable[str]) -> tuple[int, ...]:
    return tuple(int(text) for text in fields)


def _last_words(console: str) -> str:
    """Return the line that says most about why a kernel stopped."""
    lines = [line.strip() for line in console.splitlines() if line.strip()]
    panics = [line for line in lines if "panic" in line.lower() or "BUG:" in line]
    return (panics or lines or ["no output"])[0 if panics else -1][:200]
