"""The same rows whatever the cluster, and whatever dies on it: in a short form, and in a long one (`make torture`)."""

from __future__ import annotations

import functools
import json
import os
import random
import signal
import subprocess
import time
from collections import Counter
from pathlib import Path

import duckdb
import pytest

from sweep.folder import PARTS, parse_part
from tests.support.commands import children, command, digests, folder, sweep

pytestmark = pytest.mark.long

LINE = ("+experiment=smoke", "axes.churn_hz=[0.01,0.1,1]", "axes.cpus=[1,8,64]", "axes.batch=[1,8,32]")
SHORT, LONG = 8, 16  # replicates
EACH = 4 * 3 * 3 * 3  # points of one
KINDS = ("worker", "raylet", "driver")
KILLS = [(3, SHORT), pytest.param(25, LONG, marks=pytest.mark.slow)]


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The digests of the sweep in one process, undisturbed, by its replicates."""

    @functools.cache
    def run(replicates):
        where = ("cluster=inline", f"out={tmp_path_factory.mktemp('whole')}")
        run = folder(sweep(*LINE, f"replicates={replicates}", *where))
        assert once(run, replicates)
        return digests(run)

    return run


def once(run, replicates):
    """Return whether a run has every point, and each only once."""
    found = duckdb.sql(f"select count(*), count(distinct point_id) from '{run}/points/*.parquet'").fetchall()
    return found == [(replicates * EACH, replicates * EACH)]


@pytest.mark.parametrize(("cores", "task_s"), [(1, 4), (4, 0.1)])
def test_workers_and_tasks_do_not_show(cores, task_s, whole, tmp_path):
    """One worker with long tasks, four with short ones: the same rows."""
    where = (f"out={tmp_path}", f"cluster.cores={cores}", f"cluster.task_s={task_s}")
    run = folder(sweep(*LINE, f"replicates={SHORT}", *where))

    assert digests(run) == whole(SHORT)


def test_nodes_do_not_show(cluster, whole, tmp_path):
    """Three nodes: the same rows, and the manifest names all three."""
    where = ("cluster=ray", f"cluster.address={cluster.address}", f"out={tmp_path}")
    run = folder(sweep(*LINE, f"replicates={SHORT}", *where, env=cluster.environment))

    assert digests(run) == whole(SHORT)
    assert len(json.loads(Path(run, "manifest.json").read_text())["nodes"]) == 3


@pytest.mark.parametrize(("kills", "replicates"), KILLS)
def test_kills_on_this_machine(kills, replicates, whole, tmp_path, capsys):
    """Workers, the raylet and the driver of an embedded Ray die at random: resumed, the run is the undisturbed one."""
    run, killed, starts = torment(Embedded(tmp_path, replicates), kills, replicates * EACH)

    assert digests(run) == whole(replicates)
    assert once(run, replicates)
    told(capsys, "embedded Ray", killed, starts, replicates)


@pytest.mark.parametrize(("kills", "replicates"), KILLS)
def test_kills_on_three_nodes(cluster, kills, replicates, whole, tmp_path, capsys):
    """On a cluster only the driver has to be started again: dead workers and nodes are the engine's own business."""
    run, killed, starts = torment(ThreeNodes(tmp_path, replicates, cluster), kills, replicates * EACH)

    assert digests(run) == whole(replicates)
    assert once(run, replicates)
    assert starts == 1 + killed["driver"]
    told(capsys, "three nodes", killed, starts, replicates)


def told(capsys, place, killed, starts, replicates):
    """Print, past pytest, what was killed in a run that was then found whole."""
    kinds = ", ".join(f"{number} {kind}s" for kind, number in sorted(killed.items()))
    with capsys.disabled():
        print(f"\n{place}: {killed.total()} kills ({kinds}), {starts} starts of the driver, "
              f"{replicates * EACH} of {replicates * EACH} points, each once")  # fmt: skip


class Embedded:
    """A driver that brings its own Ray."""

    def __init__(self, out, replicates):
        self.out = out
        self.line = command(*LINE, f"replicates={replicates}", f"out={out}", "cluster.cores=2", "cluster.task_s=0.1")
        self.environment = os.environ
        self.driver = None

    def status(self):
        """Return the driver's exit status; None while it runs, 1 before it was started."""
        return self.driver.poll() if self.driver else 1

    def start(self):
        """Start the driver, again if it ended."""
        if self.driver is not None:
            self.driver.communicate()
        self.driver = subprocess.Popen(
            self.line, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=self.environment
        )

    def kill(self, victim, pick):
        """Kill one of a kind; return whether there was one."""
        if victim == "driver":
            self.driver.kill()
            self.driver.wait()
            return True
        lines = children(self.driver.pid)
        if not any("ray::_work" in line for line in lines.values()):
            return False  # Ray is starting, and would wait half a minute for a raylet that died: test_faults.py
        return kill_one(lines, "ray::_work" if victim == "worker" else "raylet/raylet", pick)


class ThreeNodes(Embedded):
    """A driver on a cluster, whose head lives and whose other nodes do not."""

    def __init__(self, out, replicates, cluster):
        super().__init__(out, replicates)
        self._cluster = cluster
        self.line += ["cluster=ray", f"cluster.address={cluster.address}"]
        self.environment = cluster.environment

    def kill(self, victim, pick):
        """Kill one of a kind; return whether there was one. A node that died is replaced."""
        if victim == "raylet":
            self._cluster.replace()
            return True
        if victim == "worker":
            return kill_one(children(os.getpid()), "ray::_work", pick)
        return super().kill(victim, pick)


def kill_one(lines, word, pick):
    """Kill one of the processes (pid -> command line) whose line holds a word; return whether there was one."""
    found = sorted(pid for pid, line in lines.items() if word in line)
    if found:
        os.kill(pick.choice(found), signal.SIGKILL)
    return bool(found)


def torment(place, kills, points):
    """Kill so often while a run goes on, each time after a random share of it has landed; see it to its end.

    Return the run's folder, how many of each kind were killed, and how often the driver was started.
    """
    pick, killed, starts = random.Random(kills), Counter(), 0
    victims = pick.sample(KINDS * -(-kills // len(KINDS)), kills)
    moments = sorted(pick.uniform(0, 0.7) * points for _ in range(kills))
    while (status := place.status()) != 0:
        if status is not None:
            place.start()
            starts += 1
        if (done := killed.total()) < kills and landed(place.out) >= moments[done]:
            time.sleep(pick.uniform(0, 0.3))
            killed[victims[done]] += place.kill(victims[done], pick)
        time.sleep(0.02)
    assert killed.total() == kills, "the run ended before its kills"
    return Path(place.driver.communicate()[0].splitlines()[-1]), killed, starts


def landed(out):
    """Return how many positions have landed below a folder."""
    parts = (parse_part("points", path.name) for path in out.glob(f"smoke/*/{PARTS}/points/*.parquet"))
    return sum(part.stretch[1] - part.stretch[0] for part in parts)
