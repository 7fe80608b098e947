"""Workers that die, on an embedded Ray."""

import pytest

from tests.support.commands import toys

pytestmark = pytest.mark.long


def test_a_deadly_point_fails_alone(tmp_path):
    """A point that takes its worker with it is retried, then found by halving; the others land."""
    found = toys(tmp_path, "local", None, 60, "deadly=[5]")

    assert list(found["failed"]) == ["5"]
    assert "died" in found["failed"]["5"]
