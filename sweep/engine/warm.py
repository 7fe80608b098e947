"""Compiled code on a node: kept for all workers and for later runs of the same code, and compiled by one of them."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

from sweep.errors import InputError
from sweep.places import cache_folder, is_own
from sweep.version import simulation_digest

KEYED = "core-"  # what core.compiled asks of a folder's name; importing that would import Numba, too early
VERSIONS_KEPT = 8  # versions of the code whose machine code stays, those used last; less than a megabyte each


def keep_compiled() -> Path:
    """Tell Numba, which must not have been imported yet, where this code's machine code is kept; return the folder.

    The folder is named by the code, in the user's cache or in NUMBA_CACHE_DIR: what other code left is never loaded.
    """
    named = Path(os.environ.get("NUMBA_CACHE_DIR") or cache_folder("numba", "NUMBA_CACHE_DIR"))
    base = named.parent if named.name.startswith(KEYED) else named  # a process that we started inherits ours
    folder = base / f"{KEYED}{simulation_digest()}"
    os.environ["NUMBA_CACHE_DIR"] = str(folder)
    if base.exists() and not is_own(base):
        raise InputError(
            f"NUMBA_CACHE_DIR must be a folder that only you can write to (got {str(base)!r}), as what lies there is "
            "executed; name another"
        )
    with contextlib.suppress(OSError):  # Numba says itself what is wrong with a folder, and goes on without
        folder.mkdir(parents=True, exist_ok=True)
        os.utime(folder)
        by_use = sorted(base.glob(f"{KEYED}*"), key=lambda each: each.stat().st_mtime, reverse=True)
        for old in by_use[VERSIONS_KEPT:]:
            shutil.rmtree(old, ignore_errors=True)
    return folder


def is_compiled() -> bool:
    """Whether this code ran on this node before, so that its machine code is there."""
    folder = os.environ.get("NUMBA_CACHE_DIR")
    return folder is not None and any(Path(folder).rglob("*.nbc"))


def compile_once(folder: Path, rehearsals: Sequence[Callable[[], object]]) -> None:
    """Rehearse what was not on this node: each part by one worker, which others do not wait for while there are more.

    In the end all wait, and load what was kept.
    """
    for how in (fcntl.LOCK_EX | fcntl.LOCK_NB, fcntl.LOCK_EX):
        for part, rehearse in enumerate(rehearsals):
            compiled = folder / f"compiled-{part}"
            # what is wrong with a point is said of its task, and a folder is but a help
            with contextlib.suppress(Exception):
                if not compiled.exists():
                    folder.mkdir(parents=True, exist_ok=True)
                    with open(folder / f"compiling-{part}", "w") as file:
                        fcntl.flock(file, how)
                        if not compiled.exists():
                            rehearse()
                            compiled.touch()
