"""Where `backend=live` works: a cgroup of its own, one folder a run; what a dead run left is swept up."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import signal
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from sweep.errors import InputError
from sweep.real import observe

NAME = "memcg-sweep-live"
LEAF = f"{NAME}-self"  # on v2 a cgroup with controlled children holds no process: where ours are meanwhile
MOST_CGROUPS = 5000  # made by one point
MOST_ON_HOST = 50_000  # cgroups there may be already, dying ones included
LEAST_AVAILABLE_BYTES = 1 << 30
BYTES_PER_OBJECT = 1 << 13  # of a kept file: a dentry and an inode, on slabs that nothing else may fill
BYTES_PER_CGROUP = 1 << 18  # what a dying one may hold, with margin: 256 KiB, and more by CPU
EMPTY_S = 5.0  # until killed processes have left a cgroup
WAY_OUT = "be root, or start it by: systemd-run --user --scope -p Delegate=yes python -m sweep ..."


@dataclass(frozen=True)
class Place:
    """parent: the cgroup below which a run works. root: of the hierarchy, which is not charged; None if not ours.

    depth: levels of a run's short-lived cgroups below the root.
    """

    version: int
    parent: Path
    root: Path | None
    depth: int


def find() -> Place:
    """Return where a run may work; raise InputError, in one line, where it may not."""
    where = observe.hierarchy("/")
    if where.path is None or where.version is None:
        raise InputError(
            f"backend=live must have a memory controller (got none at {where.path or 'any mount'}); "
            "use backend=vm, which brings its own kernel"
        )
    top, own = Path(where.path), _own(where.version).removesuffix(f"/{LEAF}")
    whole = where.version == 2 and os.access(top / "cgroup.procs", os.W_OK)  # only the root may hold both
    parent = top if whole or not (top / own).is_dir() else top / own
    if not os.access(parent, os.W_OK) or not os.access(parent / "cgroup.procs", os.W_OK):
        raise InputError(
            f"backend=live must have a cgroup that it may write (got {parent} as uid {os.getuid()}); {WAY_OUT}"
        )
    if where.version == 2 and "memory" not in (parent / "cgroup.controllers").read_text(encoding="ascii").split():
        raise InputError(
            f"backend=live must have a cgroup with the memory controller (got {parent}, which has none); {WAY_OUT}"
        )
    depth = len(parent.relative_to(top).parts) + len((NAME, "a run's", "a short-lived one"))
    return Place(where.version, parent, top if os.access(top / "cgroup.procs", os.W_OK) else None, depth)


def affordable(cgroups: int, objects: int) -> None:
    """Refuse, before anything is made, what this node should not be asked for; `objects` are kept at once."""
    row = observe.sample("/", observe.hierarchy("/"))
    available, number = row["available_bytes"], row["num_cgroups"]
    if cgroups > MOST_CGROUPS:
        raise InputError(
            f"workload.tmpfs.cgroups must be at most {MOST_CGROUPS} on a live kernel (got {cgroups}); lower it"
        )
    if number is not None and int(str(number)) > MOST_ON_HOST:
        raise InputError(
            f"backend=live must have a host with at most {MOST_ON_HOST} cgroups (got {number}); use another"
        )
    cpus = row["cpus_possible"] if isinstance(row["cpus_possible"], int) else 1
    each = BYTES_PER_CGROUP * max(cpus // 16, 1)
    needed = max(LEAST_AVAILABLE_BYTES, cgroups * each + objects * BYTES_PER_OBJECT)
    if isinstance(available, int) and available < needed:
        raise InputError(
            f"backend=live must have {needed >> 20} MiB available for {cgroups} cgroups that keep {objects} files (got "
            f"{available >> 20}); lower workload.tmpfs.cgroups or keep, or use another host"
        )


@contextlib.contextmanager
def working_in(place: Place) -> Iterator[tuple[Path, Path]]:
    """A cgroup and a folder on a tmpfs that are this run's alone; both are gone afterwards, or at the next start."""
    swept(place)
    name = f"{os.getpid()}-{time.time_ns()}"
    with _locks(name).open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        base, files = place.parent / NAME / name, _files() / name
        enabled = place.version == 2 and _enable(place.parent)
        try:
            base.parent.mkdir(exist_ok=True)
            if place.version == 2:
                _enable(base.parent)
            base.mkdir()
            files.mkdir(parents=True)
            if place.version == 2:
                _enable(base)
            yield base, files
        finally:
            _remove(base, files)
            _locks(name).unlink(missing_ok=True)
            with contextlib.suppress(OSError):
                base.parent.rmdir()
            if enabled:
                _disable(place.parent)


def swept(place: Place) -> list[str]:
    """Remove what runs left whose process is gone, and only that; return their names."""
    gone = []
    names = {path.name for path in (place.parent / NAME).glob("*-*")} | {path.name for path in _files().glob("*-*")}
    for name in sorted(names):
        with _locks(name).open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                continue  # it is at work
            _remove(place.parent / NAME / name, _files() / name)
            gone.append(name)
            _locks(name).unlink(missing_ok=True)
    for empty in (place.parent / NAME, place.parent / LEAF):
        with contextlib.suppress(OSError):
            empty.rmdir()
    return gone


def _own(version: int) -> str:
    for line in Path("/proc/self/cgroup").read_text(encoding="utf-8").splitlines():
        _, controllers, path = line.split(":", 2)
        if (version == 1 and "memory" in controllers.split(",")) or (version == 2 and not controllers):
            return path.lstrip("/")
    return ""


def _enable(cgroup: Path) -> bool:
    """Give a v2 cgroup's children the memory controller; what runs in it moves to a leaf, since v2 has it so.

    Return whether that had to be done.
    """
    control = cgroup / "cgroup.subtree_control"
    if "memory" in control.read_text(encoding="ascii").split():
        return False
    with contextlib.suppress(OSError):
        control.write_text("+memory", encoding="ascii")
        return True
    (cgroup / LEAF).mkdir(exist_ok=True)
    _move(cgroup, cgroup / LEAF)
    control.write_text("+memory", encoding="ascii")
    return True


def _disable(cgroup: Path) -> None:
    """Leave a cgroup as `_enable` found it; not while another run works below it, which the kernel knows."""
    with contextlib.suppress(OSError):
        (cgroup / "cgroup.subtree_control").write_text("-memory", encoding="ascii")
        if (cgroup / LEAF).is_dir():
            _move(cgroup / LEAF, cgroup)
            (cgroup / LEAF).rmdir()


def _move(source: Path, target: Path) -> None:
    for pid in (source / "cgroup.procs").read_text(encoding="ascii").split():
        with contextlib.suppress(OSError):
            (target / "cgroup.procs").write_text(pid, encoding="ascii")


def _remove(base: Path, files: Path) -> None:
    shutil.rmtree(files, ignore_errors=True)
    for cgroup in sorted((path for path in (base, *base.rglob("*")) if path.is_dir()), reverse=True):
        until = time.monotonic() + EMPTY_S
        while cgroup.is_dir():
            with contextlib.suppress(OSError):
                for pid in (cgroup / "cgroup.procs").read_text(encoding="ascii").split():
                    if int(pid):  # 0 is one outside of this container, and to kill 0 is to kill one's own group
                        os.kill(int(pid), signal.SIGKILL)
            with contextlib.suppress(OSError):
                cgroup.rmdir()
                break
            if time.monotonic() > until:
                break
            time.sleep(0.05)


def _files() -> Path:
    shared = Path("/dev/shm")
    top = shared if os.access(shared, os.W_OK) else Path(tempfile.gettempdir())
    folder = top / f"{NAME}-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    return folder


def _locks(name: str) -> Path:
    folder = Path(tempfile.gettempdir()) / f"{NAME}-locks-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    return folder / name
