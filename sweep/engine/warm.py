"""Compiled code on a node: kept for all workers and for later runs, and compiled by one of them."""

from __future__ import annotations

import contextlib
import fcntl
import os
import tempfile
from collections.abc import Callable
from pathlib import Path

from sweep.errors import InputError


def keep_compiled() -> Path:
    """Tell Numba, which must not have been imported yet, where a node's compiled code is kept; return the folder."""
    if "NUMBA_CACHE_DIR" not in os.environ:
        os.environ["NUMBA_CACHE_DIR"] = str(_folder())
    return Path(os.environ["NUMBA_CACHE_DIR"])


def compile_once(folder: Path, code: str, compiles: Callable[[], object]) -> None:
    """Call `compiles` unless that was done on this node; whoever comes meanwhile waits, and loads what it kept.

    code: digest of `core`, which the compiled code belongs to.
    """
    compiled = folder / f"compiled-{code}"
    if compiled.exists():
        return
    with contextlib.suppress(Exception):  # what is wrong with a point is said of its task, and a folder is but a help
        folder.mkdir(parents=True, exist_ok=True)
        with open(folder / f"compiling-{code}", "w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            if not compiled.exists():
                compiles()
                compiled.touch()


def _folder() -> Path:
    for base in (os.environ.get("XDG_CACHE_HOME"), Path.home() / ".cache", tempfile.gettempdir()):
        if base:
            folder = Path(base) / "memcg-sweep" / "numba"
            with contextlib.suppress(OSError):
                folder.mkdir(parents=True, exist_ok=True)
                return folder
    raise InputError("NUMBA_CACHE_DIR must be a folder one can write to (got none); set it")
