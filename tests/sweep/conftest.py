"""What the engine's tests share."""

import signal

import pytest

from sweep.engine import signals
from tests.support.nodes import Nodes


@pytest.fixture(scope="session")
def cluster():
    """Three nodes of a core each on this machine."""
    nodes = Nodes(3)
    yield nodes
    nodes.close()


@pytest.fixture
def own_signals():
    """Take the signals as a driver does, and give them back; called, take them anew."""
    before = {number: signal.getsignal(number) for number in signals.STATUS}
    signals.install()
    yield signals.install
    signals.install()
    for number, handler in before.items():
        signal.signal(number, handler)
