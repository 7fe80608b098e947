"""backend=live: bounds before the first mkdir, what it leaves behind (nothing), and who has no rights."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from sweep.errors import InputError
from sweep.real import place
from tests.support.commands import command

NOBODY = 65534
SMALL = ("+experiment=truth", "backend=live", "workload.tmpfs.cgroups=2000", "replicates=2", "cluster=inline")


def ours():
    """Return where this machine lets us work; skip, with the reason, where it does not."""
    try:
        return place.find()
    except InputError as error:
        pytest.skip(str(error))


def left(where):
    """Return what runs have left: cgroups and folders."""
    folders = list(Path("/dev/shm").glob(f"{place.NAME}-{os.getuid()}/*-*"))
    return [path for path in (where.parent / place.NAME).glob("*-*") if path.is_dir()] + folders


def test_a_run_leaves_nothing_behind():
    """Cgroups in cgroups, a process in one and a file: all gone when the block ends."""
    where = ours()
    with place.working_in(where) as (base, files):
        (base / "a").mkdir()
        (files / "file").touch()
        sleeper = subprocess.Popen(["sleep", "60"])
        (base / "a" / "cgroup.procs").write_text(str(sleeper.pid))
        assert base.is_dir()

    assert sleeper.wait(10) == -signal.SIGKILL
    assert not base.exists()
    assert not files.exists()


def test_what_a_killed_run_left_is_swept_up_by_the_next_start_and_only_that():
    """SIGKILL in the middle: the next start removes its cgroups and processes, and not those of a run at work."""
    where = ours()
    script = (
        "import subprocess, sys, time; from sweep.real import place\n"
        "with place.working_in(place.find()) as (base, files):\n"
        "    (base / 'x').mkdir()\n"
        "    child = subprocess.Popen(['sleep', '600'])\n"
        "    (base / 'x' / 'cgroup.procs').write_text(str(child.pid))\n"
        "    print(base, flush=True); time.sleep(600)\n"
    )
    with place.working_in(where) as (working, _):
        with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) as run:
            base = Path(run.stdout.readline().strip())
            assert (base / "x").is_dir()
            run.kill()
        assert base.name in place.swept(where)
        assert not base.exists()
        assert working.is_dir()
    assert left(where) == []


@pytest.mark.slow
def test_a_killed_sweep_leaves_nothing_after_the_next_start(tmp_path):
    """The command line itself, killed while it churns."""
    where = ours()
    with subprocess.Popen(command(*SMALL, f"out={tmp_path}")) as run:
        until = time.monotonic() + 120
        while not left(where) and time.monotonic() < until:
            time.sleep(0.2)
        run.kill()
    time.sleep(1)  # PR_SET_PDEATHSIG of its children
    assert left(where)
    place.swept(where)
    assert left(where) == []


def test_without_rights_there_is_one_line_with_the_way_out():
    """As nobody: exit 2 and how to get a cgroup of one's own; nothing is made."""
    if os.geteuid():
        pytest.skip("only root may become nobody")
    line = f"import os; from sweep.real import place; os.setgroups([]); os.setgid({NOBODY}); os.setuid({NOBODY})\n"
    line += "try: place.find()\nexcept Exception as error: print(error)"
    done = subprocess.run([sys.executable, "-c", line], capture_output=True, text=True)
    if "must have a memory controller" in done.stdout:
        pytest.skip(done.stdout)

    assert len(done.stdout.splitlines()) == 1
    assert "systemd-run --user --scope -p Delegate=yes" in done.stdout


@pytest.mark.parametrize(
    ("row", "cgroups", "says"),
    [
        ({}, 6000, "workload.tmpfs.cgroups must be at most 5000"),
        ({"num_cgroups": "60000"}, 10, "must have a host with at most 50000 cgroups (got 60000)"),
        ({"available_bytes": 1 << 29}, 10, "must have 1024 MiB available for 10 cgroups that keep 10 files (got 512)"),
    ],
)
def test_bounds_hold_before_the_first_mkdir(monkeypatch, row, cgroups, says):
    """Too many cgroups asked for, too many there, too little memory: one line each."""
    whole = {"available_bytes": 1 << 40, "num_cgroups": "10", "cpus_possible": 4} | row
    monkeypatch.setattr(place.observe, "sample", lambda *_: whole)

    with pytest.raises(InputError) as error:
        place.affordable(cgroups, cgroups)
    assert says in str(error.value)
