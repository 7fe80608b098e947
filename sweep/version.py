"""Which code made a row: the content of `core`, and the versions of what it runs on."""

from __future__ import annotations

import functools
import importlib.metadata
import platform
import subprocess
from collections.abc import Callable
from hashlib import blake2b
from pathlib import Path

import core

PACKAGES = ("memcg-sweep", "numpy", "numba", "scipy", "pyarrow", "ray", "hydra-core", "omegaconf", "duckdb")


@functools.cache
def core_digest() -> str:
    """Name `core` by its content: 12 hex digits of every source file."""
    return _digest(lambda _: True)


@functools.cache
def simulation_digest() -> str:
    """Name the simulation by its content: as `core_digest`, without `core.validation`, which it does not import."""
    return _digest(lambda name: not name.startswith("validation/"))


def _digest(belongs: Callable[[str], bool]) -> str:
    root = Path(core.__path__[0])
    digest = blake2b(digest_size=6)
    for path in sorted(root.rglob("*.py")):
        if belongs(name := path.relative_to(root).as_posix()):
            digest.update(name.encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()


def refusal(code: str) -> str | None:
    """Return why this process must not work for a driver whose core is `code`; None if it has the same core."""
    if core_digest() == code:
        return None
    return (
        f"a worker has another core ({core.__path__[0]} is {core_digest()}, not {code}); install one version everywhere"
    )


def package_versions() -> dict[str, str | None]:
    """Return the version of Python and of each package that rows depend on; None where one is not installed."""
    found: dict[str, str | None] = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            found[package] = None
    return found


def commit() -> str | None:
    """Return the commit of the checkout that runs, with `-dirty` where it was changed; None if it is no checkout."""
    if not (Path(core.__path__[0]).parent / ".git").exists():
        return None
    try:
        command = ["git", "-C", core.__path__[0], "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"]
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return None
