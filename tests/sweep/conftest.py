"""What the engine's tests share."""

import pytest

from tests.support.nodes import Nodes


@pytest.fixture(scope="session")
def cluster():
    """Three nodes of a core each on this machine."""
    nodes = Nodes(3)
    yield nodes
    nodes.close()
