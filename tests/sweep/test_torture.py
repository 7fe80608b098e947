"""The same rows whatever the cluster, and whatever dies on it: in a short form, and in a long one (`make torture`)."""

from __future__ import annotations

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
from commands import children, command, digests, folder, sweep

from sweep.store import PARTS

POINTS = 432
LINE = ("+experiment=smoke", "axes.churn_hz=[0.01,0.1,1]", "axes.cpus=[1,8,64]", "axes.batch=[1,8,32]", "replicates=4")
KINDS = ("worker", "raylet", "driver")
KILLS = [3, pytest.param(25, marks=pytest.mark.slow)]


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The digests of the sweep in one process, undisturbed."""
    run = folder(sweep(*LINE, "cluster=inline", f"out={tmp_path_factory.mktemp('whole')}"))
    assert once(run)
    return digests(run)


def once(run):
    """Return whether a run has every point, and each only once."""
    found = duckdb.sql(f"select count(*), count(distinct point_id) from '{run}/points/*.parquet'").fetchall()
    return found == [(POINTS, POINTS)]


@pytest.mark.parametrize(("cores", "task_s"), [(1, 4), (4, 0.1)])
def test_workers_and_tasks_do_not_show(cores, task_s, whole, tmp_path):
    """One worker with long tasks, four with short ones: the same rows."""
    run = folder(sweep(*LINE, f"out={tmp_path}", f"cluster.cores={cores}", f"cluster.task_s={task_s}"))

    assert digests(run) == whole


def test_nodes_do_not_show(cluster, whole, tmp_path):
    """Three nodes: the same rows, and the manifest names all three."""
    line = ("cluster=ray", f"cluster.address={cluster.address}", f"out={tmp_path}")
    run = folder(sweep(*LINE, *line, env=cluster.environment))

    assert digests(run) == whole
    assert len(json.loads(Path(run, "manifest.json").read_text())["nodes"]) == 3


@pytest.mark.parametrize("kills", KILLS)
def test_kills_on_this_machine(kills, whole, tmp_path, capsys):
    """Workers, the raylet and the driver of an embedded Ray die at random: resumed, the run is the undisturbed one."""
    run, killed, starts = torment(Embedded(tmp_path), kills)
    told(capsys, "embedded Ray", killed, starts)

    assert digests(run) == whole
    assert once(run)


@pytest.mark.parametrize("kills", KILLS)
def test_kills_on_three_nodes(cluster, kills, whole, tmp_path, capsys):
    """On a cluster only the driver has to be started again: dead workers and nodes are the engine's own business."""
    run, killed, starts = torment(ThreeNodes(tmp_path, cluster), kills)
    told(capsys, "three nodes", killed, starts)

    assert digests(run) == whole
    assert once(run)
    assert starts == 1 + killed["driver"]


def told(capsys, place, killed, starts):
    """Print what was killed, past pytest."""
    with capsys.disabled():
        print(f"\n{place}: {sum(killed.values())} kills {dict(killed)}, {starts} starts of the driver, {POINTS} points")


class Embedded:
    """A driver that brings its own Ray."""

    def __init__(self, out):
        self.out = out
        self.line = command(*LINE, f"out={out}", "cluster.cores=2", "cluster.task_s=0.1")
        self.environment = os.environ | {"RAY_health_check_period_ms": "500"}  # Ray's own is 3 s, and 5 of them
        self.start()

    def start(self):
        """Start the driver."""
        self.driver = subprocess.Popen(
            self.line, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=self.environment
        )

    def kill(self, victim, pick):
        """Kill one of a kind; return whether there was one."""
        if victim == "driver":
            self.driver.kill()
            self.driver.wait()
            return True
        return self._kill_below(self.driver.pid, "ray::_work" if victim == "worker" else "raylet/raylet", pick)

    @staticmethod
    def _kill_below(root, word, pick):
        found = sorted(pid for pid, line in children(root).items() if word in line)
        if found:
            os.kill(pick.choice(found), signal.SIGKILL)
        return bool(found)


class ThreeNodes(Embedded):
    """A driver on a cluster, whose head lives and whose other nodes do not."""

    def __init__(self, out, cluster):
        self._cluster = cluster
        super().__init__(out)
        self.line += ["cluster=ray", f"cluster.address={cluster.address}"]
        self.environment = cluster.environment

    def kill(self, victim, pick):
        """Kill one of a kind; return whether there was one. A node that died is replaced."""
        if victim == "raylet":
            self._cluster.kill()
            self._cluster.add()
            return True
        if victim == "worker":
            return self._kill_below(os.getpid(), "ray::_work", pick)
        return super().kill(victim, pick)


def torment(place, kills):
    """Kill so often while a run goes on, each time after a random share of it has landed; see it to its end.

    Return the run's folder, how many of each kind were killed, and how often the driver was started.
    """
    pick, killed, starts = random.Random(kills), Counter(), 1
    victims = pick.sample(KINDS * -(-kills // len(KINDS)), kills)
    moments = sorted(pick.uniform(0, 0.9) * POINTS for _ in range(kills))
    while (status := place.driver.poll()) != 0:
        if status is not None:
            place.driver.communicate()
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
    names = (path.stem.split("-") for path in out.glob(f"smoke/*/{PARTS}/points/*.parquet"))
    return sum(int(stop) - int(start) for start, stop in names)
