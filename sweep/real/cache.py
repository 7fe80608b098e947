"""What a node makes or fetches once and keeps: in the user's cache, whole or not at all."""

from __future__ import annotations

import contextlib
import fcntl
import os
import tempfile
from collections.abc import Callable
from pathlib import Path

from sweep.errors import InputError


def cache_folder(name: str) -> Path:
    """Return a folder of ours in the user's cache; raise InputError if there is no place to write to."""
    for base in (os.environ.get("XDG_CACHE_HOME"), Path.home() / ".cache", tempfile.gettempdir()):
        if base:
            folder = Path(base) / "memcg-sweep" / name
            with contextlib.suppress(OSError):
                folder.mkdir(parents=True, exist_ok=True)
                return folder
    raise InputError("XDG_CACHE_HOME must be a folder one can write to (got none); set it")


def once_per_node(path: Path, make: Callable[[Path], object]) -> None:
    """Have `make` write the file `path` unless it is there; whoever comes meanwhile waits, and finds it whole."""
    if path.exists():
        return
    with open(path.with_name(f".{path.name}.lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not path.exists():
            half = path.with_name(f".{path.name}.half")
            make(half)
            half.replace(path)
