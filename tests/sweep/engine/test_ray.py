"""Workers that die, on an embedded Ray."""

import os

import pytest

from sweep.engine import on_ray, signals
from tests.support.commands import toys
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
