"""Workers that die, on an embedded Ray."""

import os
import re
import subprocess
import time

import pytest

from sweep.engine import on_ray, signals
from tests.support.commands import TINY, children, started, toys
from tests.support.toys import Squares

pytestmark = pytest.mark.long


def test_a_signal_while_ray_is_imported_leaves_nothing(monkeypatch):
    """The seconds before there is a Ray to shut down are as good a moment to stop as any."""
    folders = []

    def stop(self, _cluster):
        folders.append(self._local.folder.path)
        raise signals.Stopped(130)

    monkeypatch.setattr(on_ray.OnRay, "_connect", stop)
    before = dict(os.environ)
    try:
        with pytest.raises(signals.Stopped):
            on_ray.OnRay({"kind": "local", "cores": 1}, Squares(1), "nowhere", "")
    finally:
        os.environ.clear()
        os.environ.update(before)

    assert [folder.exists() for folder in folders] == [False]


def test_a_deadly_point_fails_alone(tmp_path):
    """A point that takes its worker with it is retried, then found by halving; the others land."""
    found = toys(tmp_path, "local", None, 60, "deadly=[5]")

    assert list(found["failed"]) == ["5"]
    assert "died" in found["failed"]["5"]


def test_workers_make_the_files_that_one_process_makes(tmp_path):
    """Files are made on Ray to the same bytes, whoever dies meanwhile: a worker, or the driver, which then resumes."""
    told = {}
    for name, kind, *options in (
        ("inline", "inline"),
        ("ray", "local", "cores=2"),
        ("worker", "local", "cores=2", "dies='worker'"),
    ):
        told[name] = toys(tmp_path / name, kind, None, 95, "grain=10", "rows_per_file=20", *options)
    ray = [tmp_path / "driver", "local", None, 95, "grain=10", "rows_per_file=20", "cores=2"]
    with pytest.raises(AssertionError):
        toys(*ray, "dies='driver'")
    told["driver"] = toys(*ray)

    assert (tmp_path / "worker" / "died").exists()
    assert [file["rows"] for file in told["inline"]["files"]] == [6, 6, 6, 6, 6, 20, 20, 20, 20, 15]
    assert all(each["files"] == told["inline"]["files"] for each in told.values())
    for name in told:
        written = {path.name: path.read_bytes() for path in sorted((tmp_path / name / "points").glob("*.parquet"))}
        assert len(written) == 5
        assert written == {p.name: p.read_bytes() for p in sorted((tmp_path / "inline" / "points").glob("*.parquet"))}


def test_no_dashboard_runs_beside_a_sweep(tmp_path):
    """Of Ray's processes there are, while a sweep works, those that do its work: neither dashboard nor monitors."""
    seen = {}
    with started(*TINY, "replicates=8", "cluster.cores=1", f"out={tmp_path}", stderr=subprocess.DEVNULL) as driver:
        while driver.poll() is None:
            seen |= {pid: line.split(" --")[0] for pid, line in children(driver.pid).items()}
            time.sleep(0.2)

    assert driver.returncode == 0
    assert any("raylet" in line for line in seen.values())
    assert any("ray::" in line for line in seen.values())
    assert not [line for line in seen.values() if re.search(r"dashboard\.py|monitor\.py", line)]
