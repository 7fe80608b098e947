"""The same rows on an embedded Ray, and after workers died. Clusters are in `test_cluster.py`."""

import pytest
from commands import toys


@pytest.fixture(scope="module")
def expected(tmp_path_factory):
    """What 400 squares come to in one process."""
    return toys(tmp_path_factory.mktemp("inline"), "inline", None, 400)["digests"]


def test_a_deadly_point_fails_alone(tmp_path):
    """A point that takes its worker with it is retried, then found by halving; the others land."""
    found = toys(tmp_path, "local", None, 60, "deadly=[5]")

    assert list(found["failed"]) == ["5"]
    assert "died" in found["failed"]["5"]


def test_embedded_ray_lands_the_same(tmp_path, expected):
    """An embedded Ray lands what one process lands."""
    assert toys(tmp_path, "local", None, 400, "cores=2")["digests"] == expected
