"""Folders of the user's own on a node: what is made or measured once and kept, and what lives as long as a run."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

from sweep.errors import InputError

TEMPORARY = "memcg-sweep-"  # begins the name of a folder that a driver has while it runs
HELD = "driver"  # a file in it that the driver locks, so that the next one knows whether it still runs


def cache_folder(name: str, key: str = "XDG_CACHE_HOME") -> Path:
    """Return a folder of the user's own for what can be made again.

    What lies there is executed: a folder that somebody else owns, or everybody writes to, is none. Raises InputError
    naming `key` if there is no other.
    """
    for base in _bases("XDG_CACHE_HOME", ".cache"):
        folder = base / name
        with contextlib.suppress(OSError):
            folder.mkdir(parents=True, exist_ok=True)
            if is_own(folder) and os.access(folder, os.W_OK):
                return folder
    raise InputError(f"{key} must be a folder that only you can write to (got none); set it")


def data_folder() -> Path:
    """Return the folder of the user's own for what was measured; it may still have to be made."""
    return next(_bases("XDG_DATA_HOME", ".local/share"))


def is_own(folder: Path) -> bool:
    """Whether nobody else can put files there: it is this user's or root's, and not everybody's to write to."""
    found = folder.lstat()
    mine = found.st_uid in (0, os.geteuid()) and stat.S_ISDIR(found.st_mode)
    return mine and not found.st_mode & stat.S_IWOTH


def _bases(variable: str, below_home: str) -> Iterator[Path]:
    """Yield places for our files, best first; a user without a home has one below the temporary folder."""
    if os.environ.get(variable):
        yield Path(os.environ[variable]) / "memcg-sweep"
    with contextlib.suppress(RuntimeError):  # neither HOME nor an entry in /etc/passwd
        yield Path.home() / below_home / "memcg-sweep"
    mine = Path(tempfile.gettempdir()) / f"memcg-sweep.{os.geteuid()}"
    with contextlib.suppress(OSError):
        mine.mkdir(mode=0o700, exist_ok=True)
    if mine.is_dir() and is_own(mine):
        yield mine


class RunFolder:
    """A folder of mode 0700 with a short path, gone when it is closed; those of drivers that died go when one is made.

    most: characters that its path may have; the system's limit for a socket's path leaves so many.
    """

    def __init__(self, most: int) -> None:
        bases = (tempfile.gettempdir(), "/tmp", "/var/tmp", "/dev/shm")
        for base in (Path(each) for each in bases if len(each) + 1 + len(TEMPORARY) + 8 <= most):
            with contextlib.suppress(OSError):
                self.path = Path(tempfile.mkdtemp(prefix=TEMPORARY, dir=base))
                self._file = open(self.path / HELD, "w")  # noqa: SIM115 (open as long as the folder is there)
                fcntl.flock(self._file, fcntl.LOCK_EX)
                _sweep_up(base)
                return
        raise InputError(f"TMPDIR must be a short path that one can write to (got {tempfile.gettempdir()!r}); set it")

    def close(self) -> None:
        """Remove it."""
        shutil.rmtree(self.path, ignore_errors=True)
        self._file.close()


def _sweep_up(base: Path) -> None:
    """Remove what drivers of this user left that were killed."""
    for folder in base.glob(f"{TEMPORARY}*"):
        with contextlib.suppress(OSError):  # not ours, or its driver runs
            if folder.lstat().st_uid != os.geteuid() or folder.is_symlink():
                continue
            with open(folder / HELD, "r+") as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(folder, ignore_errors=True)
