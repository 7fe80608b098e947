"""Bounds are tested, not guessed: the least versions that pyproject.toml allows, and each Python that it allows."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import ROOT

UV = Path(sys.executable).with_name("uv")
LEAST = ("--resolution", "lowest-direct", "-r", ROOT / "pyproject.toml")
LOCKED = ("--require-hashes", "-r", ROOT / "requirements.lock")


def interpreter(version):
    """A Python of a version on this machine."""
    kept = sorted(Path.home().glob(f".pyenv/versions/{version}.*/bin/python3"))
    for found in (shutil.which(f"python{version}"), *kept):
        if found and subprocess.run([found, "-c", ""], capture_output=True).returncode == 0:
            return str(found)
    pytest.skip(f"no Python {version} on this machine")


def runs(python, packages, folder):
    """Install packages for a Python; run a sweep on Ray, its tables and its report with them."""
    own = folder / "venv" / "bin" / "python"
    environment = os.environ | {"PYTHONPATH": str(ROOT), "XDG_CACHE_HOME": str(folder / "cache")}
    for name in ("VIRTUAL_ENV", "NUMBA_CACHE_DIR"):
        environment.pop(name, None)

    def run(*line):
        done = subprocess.run(line, capture_output=True, text=True, env=environment, cwd=folder, timeout=1800)
        assert done.returncode == 0, f"{line}: {done.stdout[-2000:]}{done.stderr[-3000:]}"
        return done.stdout

    run(UV, "venv", "--quiet", "--python", python, folder / "venv")
    install = (UV, "pip", "install", "--quiet", "--python", own, *packages)
    asked = subprocess.run(install, capture_output=True, text=True, env=environment)
    if "error sending request" in asked.stderr.lower() or "failed to fetch" in asked.stderr.lower():
        pytest.skip(f"no package index can be reached: {asked.stderr.splitlines()[-1]}")
    assert asked.returncode == 0, asked.stderr
    print(run(own, "--version"), run(UV, "pip", "freeze", "--python", own))
    results = run(own, "-m", "sweep", "+experiment=smoke", "cluster=local", "cluster.cores=1").splitlines()[-1]
    assert run(own, "-m", "analysis", "tables", results)
    run(own, "-m", "analysis", "report", results, "-o", "report.html", "--figures", "figures")
    assert (folder / "report.html").stat().st_size > 10_000
    assert list((folder / "figures").iterdir())


@pytest.mark.slow
def test_the_lowest_versions_run(tmp_path):
    """A sweep, its tables and its report in an environment of the least versions, on this Python."""
    runs(sys.executable, LEAST, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("version", ["3.12", "3.13"])
def test_other_pythons_run(version, tmp_path):
    """The same with what requirements.lock pins, on the other Pythons that pyproject.toml allows."""
    runs(interpreter(version), LOCKED, tmp_path)
