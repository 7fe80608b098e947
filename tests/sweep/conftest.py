"""What the engine's tests share."""

import os
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))  # toys, which Ray's workers import too
os.environ["PYTHONPATH"] = os.pathsep.join([str(HERE), str(HERE.parents[1]), os.environ.get("PYTHONPATH", "")])


@pytest.fixture(scope="session")
def cluster():
    """Three nodes of a core each on this machine."""
    from nodes import Nodes

    nodes = Nodes(3)
    yield nodes
    nodes.close()
