"""Bounds of dependencies are tested, not guessed: the least that pyproject.toml allows runs."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import ROOT

UV = Path(sys.executable).with_name("uv")


@pytest.mark.slow
def test_the_lowest_versions_run(tmp_path):
    """A sweep, its tables and its report in an environment of the least versions, on this Python."""
    python = tmp_path / "venv" / "bin" / "python"
    environment = os.environ | {"PYTHONPATH": str(ROOT), "XDG_CACHE_HOME": str(tmp_path / "cache")}
    environment.pop("VIRTUAL_ENV", None)

    def run(*line):
        done = subprocess.run(line, capture_output=True, text=True, env=environment, cwd=tmp_path, timeout=1800)
        assert done.returncode == 0, f"{line}: {done.stdout[-2000:]}{done.stderr[-3000:]}"
        return done.stdout

    run(UV, "venv", "--quiet", "--python", sys.executable, tmp_path / "venv")
    install = (UV, "pip", "install", "--quiet", "--python", python, "--resolution", "lowest-direct")
    asked = subprocess.run([*install, "-r", ROOT / "pyproject.toml"], capture_output=True, text=True, env=environment)
    if "error sending request" in asked.stderr.lower() or "failed to fetch" in asked.stderr.lower():
        pytest.skip(f"no package index can be reached: {asked.stderr.splitlines()[-1]}")
    assert asked.returncode == 0, asked.stderr
    print(run(UV, "pip", "freeze", "--python", python))
    folder = run(python, "-m", "sweep", "+experiment=smoke", "cluster=local", "cluster.cores=1").splitlines()[-1]
    assert run(python, "-m", "analysis", "tables", folder)
    run(python, "-m", "analysis", "report", folder, "-o", "report.html", "--figures", "figures")
    assert (tmp_path / "report.html").stat().st_size > 10_000
    assert list((tmp_path / "figures").iterdir())
