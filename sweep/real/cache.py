"""What a node makes or fetches once and keeps: in the user's cache, whole or not at all."""

from __future__ import annotations

import fcntl
from collections.abc import Callable
from pathlib import Path


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
