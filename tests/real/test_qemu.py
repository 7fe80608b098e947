"""How a boot is waited for, with processes that stand in for QEMU."""

import subprocess
import time

import pytest

from sweep.real import qemu


def started(*command):
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def test_what_ends_in_time_is_heard_whole():
    """Both streams, and how long it waited for a core: less than it took."""
    out, err, waited_s = qemu._ended(started("sh", "-c", "sleep 0.7; echo out; echo err >&2"), 60)

    assert (out, err) == (b"out\n", b"err\n")
    assert 0 <= waited_s < 60


def test_what_hangs_is_killed_at_its_limit_and_heard_so_far():
    """A guest that idles for ever: killed, and what it had printed is kept."""
    process = started("sh", "-c", "echo so far; exec sleep 600")
    out, _, waited_s = qemu._ended(process, 1.0)

    assert (out, waited_s) == (b"so far\n", None)
    assert process.returncode < 0


def test_what_a_busy_host_makes_a_guest_wait_does_not_count(monkeypatch):
    """Ready to run for 10 s and never let: a limit of 1 s has not begun; without that, it has passed."""
    monkeypatch.setattr(qemu, "_waited_s", lambda _: 10.0)
    began = time.monotonic()
    out, _, waited_s = qemu._ended(started("sh", "-c", "sleep 2; echo there"), 1.0)

    assert (out, waited_s) == (b"there\n", 10.0)
    assert time.monotonic() - began < 60


def test_the_kernel_says_how_long_a_process_waited():
    """Of this machine's own scheduler: a number, and none of a process that is gone."""
    process = started("sleep", "60")
    assert qemu._waited_s(process.pid) >= 0
    process.kill()
    process.communicate()

    assert qemu._waited_s(process.pid) == pytest.approx(0)
