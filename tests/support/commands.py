"""Run the project's commands as a user does: a process, its lines, its exit status."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

from sweep.engine.compact import run_digest
from sweep.engine.store import Store
from sweep.folder import PARTS
from tests.support import ROOT

TINY = ("+experiment=smoke", "axes.churn_hz=[0.01]", "duration_s=3600", "replicates=3", "axes.batch=[1,8,32]")

LIMIT_S = 600  # a first run compiles for minutes where others use the cores


def sweep(*overrides, **options):
    """Run `python -m sweep` to its end."""
    return subprocess.run(command(*overrides), capture_output=True, text=True, timeout=LIMIT_S, **options)


@contextmanager
def started(*overrides, **options):
    """Start `python -m sweep`; whatever a test finds, it does not go on beyond it."""
    process = subprocess.Popen(command(*overrides), text=True, **options)
    with process:
        try:
            yield process
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)  # it takes its cluster with it


def command(*overrides):
    """Return the command line of a sweep."""
    return [sys.executable, "-m", "sweep", *overrides]


def python(code):
    """Return the exit status of a process that runs some Python, and what it said on stdout and stderr."""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=LIMIT_S)
    return done.returncode, done.stdout, done.stderr


def folder(done):
    """Return the run folder that a sweep names on its last line."""
    assert done.returncode == 0, done.stderr
    return Path(done.stdout.splitlines()[-1])


def digests(run):
    """Return the digest of each table of a complete run."""
    return {table: run_digest(Store(str(run)), table) for table in ("points", "series")}


def toys(root, kind, address, length, *options):
    """Run squares on an executor; return what the driver says."""
    line = [sys.executable, "-m", "tests.support.toys", str(root), kind, str(address), str(length), *options]
    done = subprocess.run(line, capture_output=True, text=True, timeout=300, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def children(pid):
    """Return the processes below one: pid -> command line."""
    found = {}
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(status.read_text().rpartition(")")[2].split()[1])
            line = (status.parent / "cmdline").read_bytes().replace(b"\0", b" ").decode()
        except OSError:
            continue  # it ended while we looked
        found[int(status.parent.name)] = (parent, line)
    below, ring = {}, {pid}
    while ring:
        ring = {child for child, (parent, _) in found.items() if parent in ring} - set(below)
        below |= {child: found[child][1] for child in ring}
    return below


def alive(pid):
    """Return whether a process runs."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def until_landed(driver, out):
    """Wait until a part of the record has landed below a folder, while the driver runs."""
    until = time.monotonic() + LIMIT_S
    while not list(Path(out).glob(f"**/{PARTS}/points/*.parquet")):
        assert driver.poll() is None
        assert time.monotonic() < until, "nothing lands"
        time.sleep(0.01)
