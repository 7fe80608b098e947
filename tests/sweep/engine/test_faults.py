"""Workers, nodes and drivers that die: nothing is lost, nothing is there twice, and the rows are the same bits."""

import os
import random
import signal
import subprocess
import tempfile
import time
from contextlib import suppress

import duckdb
import pytest

from tests.support.commands import (
    LIMIT_S,
    TINY,
    alive,
    children,
    command,
    digests,
    folder,
    started,
    sweep,
    until_landed,
)

pytestmark = pytest.mark.long

MOMENTS_S = 20.0  # of a run on Ray, from its first second to its end

LONG = ("+experiment=smoke", "axes.churn_hz=[0.01,0.1,1]", "replicates=6", "axes.cpus=[1,8,64]", "axes.batch=[1,8,32]",
        "cluster.task_s=0.5")  # fmt: skip


@pytest.fixture(scope="module")
def inline(tmp_path_factory):
    """A run in one process, undisturbed."""
    return folder(sweep(*TINY, "cluster=inline", f"out={tmp_path_factory.mktemp('inline')}"))


def points_once(run):
    """Return how many points a run has, and how many different ones."""
    return duckdb.sql(f"select count(*), count(distinct point_id) from '{run}/points/*.parquet'").fetchall()[0]


def test_ray_lands_what_one_process_lands(inline, tmp_path):
    """The embedded Ray writes the same rows as one process, and says so in the same words the second time."""
    run = folder(sweep(*TINY, f"out={tmp_path}", "cluster.cores=2", "cluster.task_s=0.05"))

    assert digests(run) == digests(inline)
    assert points_once(run) == (72, 72)

    began = time.monotonic()
    again = sweep(*TINY, f"out={tmp_path}")
    assert "nothing left to do" in again.stderr
    assert folder(again) == run
    assert time.monotonic() - began < 20  # of importing and of reading what is there; a loaded machine takes its time


def test_a_killed_driver_resumes(inline, tmp_path):
    """A driver killed in the middle leaves sound parts; the same command does the rest, to the same bits."""
    line = (*TINY, f"out={tmp_path}", "cluster.task_s=0.01", "cluster=inline")
    with started(*line, stdout=subprocess.DEVNULL) as driver:
        until_landed(driver, tmp_path)
        driver.kill()
    left = list(tmp_path.glob("smoke/*/parts/points/*.parquet"))
    again = sweep(*TINY, f"out={tmp_path}", "cluster=inline")

    assert left
    assert digests(folder(again)) == digests(inline)


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signalled_driver_stops_and_resumes(number, status, inline, tmp_path):
    """Ctrl-C and a batch system's SIGTERM end a run with their own status, one line, and no process left behind."""
    line = (*TINY, f"out={tmp_path}", "cluster.task_s=0.01", "cluster.cores=1")
    with started(*line, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as driver:
        until_landed(driver, tmp_path)
        below = children(driver.pid)
        driver.send_signal(number)
        said = driver.communicate(timeout=60)[1]

    assert driver.returncode == status
    assert "the same command resumes" in said
    assert "Traceback" not in said
    assert gone(below)
    assert digests(folder(sweep(*TINY, f"out={tmp_path}", "cluster=inline"))) == digests(inline)


SIGNALS = (
    [signal.SIGTERM],
    [signal.SIGINT],
    [signal.SIGTERM] * 2,
    [signal.SIGINT] * 2,
    [signal.SIGINT, signal.SIGTERM],
)


@pytest.mark.parametrize("number", [3, pytest.param(50, marks=pytest.mark.slow)])
def test_signals_at_random_moments(number, inline, tmp_path, capsys):
    """One signal or two, at any moment of a run on Ray: its status, no process, no folder, the same rows at last."""
    pick, sent, whole = random.Random(number), 0, 0
    with tempfile.TemporaryDirectory(dir="/tmp") as short:  # the paths of sockets have to be
        while sent < number:
            line = (*TINY, f"out={tmp_path / str(whole)}", "cluster.task_s=0.01", "cluster.cores=1")
            options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "env": os.environ | {"TMPDIR": short}}
            signals, wait_s = pick.choice(SIGNALS), pick.uniform(0, MOMENTS_S)
            with started(*line, **options) as driver:
                until_handled(driver)
                with suppress(subprocess.TimeoutExpired):
                    driver.wait(wait_s)
                below = children(driver.pid)
                if driver.poll() is None:
                    sent += 1
                    for each in signals:
                        driver.send_signal(each)
                        time.sleep(0.3)
                said, trouble = driver.communicate(timeout=LIMIT_S)
            case = (sent, driver.returncode, signals, wait_s, trouble)
            assert driver.returncode in (0, 128 + signals[0]), case
            assert "Traceback" not in trouble, case
            assert os.listdir(short) == [], case
            assert gone(below), case
            if driver.returncode == 0:
                assert digests(said.splitlines()[-1]) == digests(inline), case
                whole += 1
        assert digests(folder(sweep(*TINY, f"out={tmp_path / str(whole)}", "cluster=inline"))) == digests(inline)
    with capsys.disabled():
        print(f"\ncluster=local: {sent} times one signal or two, {whole + 1} runs whole")


def until_handled(driver):
    """Wait until a driver handles SIGTERM: before that it is Python that starts."""
    handled = 0
    while driver.poll() is None and not handled >> signal.SIGTERM - 1 & 1:
        with open(f"/proc/{driver.pid}/status") as file:
            handled = next(int(line.split()[1], 16) for line in file if line.startswith("SigCgt"))
        time.sleep(0.01)


def gone(pids):
    """Whether processes end, within the time in which they see that their driver did."""
    until = time.monotonic() + 30
    while any(alive(pid) for pid in pids):
        if time.monotonic() > until:
            return False
        time.sleep(0.1)
    return True


def test_a_raylet_that_dies_ends_the_run_at_once(tmp_path):
    """Without its raylet an embedded Ray is no more: the run says so, names its folder, and exits with 1."""
    with started(*LONG, f"out={tmp_path}", stdout=subprocess.PIPE, stderr=subprocess.PIPE) as driver:
        until_landed(driver, tmp_path)
        os.kill(next(pid for pid, line in children(driver.pid).items() if "raylet/raylet" in line), signal.SIGKILL)
        said, trouble = driver.communicate(timeout=30)

    assert driver.returncode == 1
    assert [str(found) for found in tmp_path.glob("smoke/*")] == said.splitlines()
    assert trouble.splitlines()[-1].startswith("Ray is gone")
    assert "Traceback" not in trouble


def test_a_full_disk_is_said_once(tmp_path):
    """When nothing more can be written, one line says so, and the run can be resumed."""
    limit = f"ulimit -f 8; exec {' '.join(command(*LONG, f'out={tmp_path}', 'cluster=inline'))}"
    full = subprocess.run(["bash", "-c", limit], capture_output=True, text=True, timeout=LIMIT_S)

    assert full.returncode == 1
    assert "cannot write to" in full.stderr
    assert "Traceback" not in full.stderr


@pytest.mark.slow
def test_a_ray_that_does_not_start_is_one_line(tmp_path):
    """When the raylet dies as it starts, Ray gives up after half a minute: one line, and no process stays behind."""
    with started(*TINY, f"out={tmp_path}", stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as driver:
        while not (raylets := [pid for pid, line in children(driver.pid).items() if "raylet/raylet" in line]):
            assert driver.poll() is None
            time.sleep(0.01)
        below = children(driver.pid)
        os.kill(raylets[0], signal.SIGKILL)
        said = driver.communicate(timeout=120)[1]

    assert driver.returncode == 1
    assert len(said.splitlines()) == 1
    assert "Ray did not start on this machine" in said
    assert gone(below)
