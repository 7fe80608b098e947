"""The same rows on Ray: embedded, on a cluster, and after workers died."""

import os

import pytest
from commands import toys


@pytest.fixture(scope="module")
def expected(tmp_path_factory):
    """What 400 squares come to in one process."""
    return toys(tmp_path_factory.mktemp("inline"), "inline", None, 400)["digests"]


@pytest.fixture(scope="module")
def cluster():
    """The address of a Ray cluster of three nodes on this machine."""
    os.environ |= {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "1", "RAY_USAGE_STATS_ENABLED": "0"}
    from ray.cluster_utils import Cluster

    nodes = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    for _ in range(2):
        nodes.add_node(num_cpus=1)
    yield nodes
    nodes.shutdown()


def test_a_deadly_point_fails_alone(tmp_path):
    """A point that takes its worker with it is retried, then found by halving; the others land."""
    found = toys(tmp_path, "local", None, 60, "deadly=[5]")

    assert list(found["failed"]) == ["5"]
    assert "died" in found["failed"]["5"]


def test_embedded_ray_lands_the_same(tmp_path, expected):
    """An embedded Ray lands what one process lands."""
    assert toys(tmp_path, "local", None, 400, "cores=2")["digests"] == expected


def test_a_cluster_lands_the_same(tmp_path, cluster, expected):
    """A cluster of three nodes lands what one process lands, and uses every node."""
    found = toys(tmp_path, "ray", cluster.address, 400)

    assert found["digests"] == expected
    assert len(found["nodes"]) == 3
