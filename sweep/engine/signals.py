"""Ctrl-C, a batch system's SIGTERM, a closed terminal: the run stops where it is, and can be resumed.

The first signal stops the run. A second one is told that the run is stopping; a third ends the process at once.
"""

from __future__ import annotations

import atexit
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import ClassVar

from sweep.errors import HUNG_UP, INTERRUPTED, TERMINATED

STATUS = {signal.SIGINT: INTERRUPTED, signal.SIGTERM: TERMINATED, signal.SIGHUP: HUNG_UP}
MOST_PATIENT = 2  # signals that are waited for


class Stopped(BaseException):
    """Raised wherever the driver is when a signal asks it to stop; `status` is what it exits with.

    No error, as KeyboardInterrupt is none: nothing may take it for one.
    """

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


class _State:
    """Of this process: how many signals came, and whether one is held back."""

    count = 0
    held = 0
    raised = False
    status: int | None = None  # what the first one asked for
    taken: ClassVar[list[signal.Signals]] = []


def install() -> None:
    """Make each signal raise Stopped, but for SIGHUP where `nohup` has it ignored."""
    _State.count, _State.held, _State.raised, _State.status = 0, 0, False, None
    _State.taken = [n for n in STATUS if n != signal.SIGHUP or signal.getsignal(n) != signal.SIG_IGN]
    take()
    sys.unraisablehook = _unraisable
    atexit.register(ignore)  # the first that is registered is the last that runs


def _unraisable(dropped: sys.UnraisableHookArgs) -> None:
    """Say nothing of a Stopped that Python drops, as in a finaliser or after a fork: `check` raises it again."""
    if not isinstance(dropped.exc_value, Stopped):
        sys.__unraisablehook__(dropped)


def ignore() -> None:
    """Pass over what comes while the process ends: it would change no more than the status."""
    for number in _State.taken:
        signal.signal(number, signal.SIG_IGN)


def take() -> None:
    """Take the signals back from a library that took them for itself, where they were ours."""
    for number in _State.taken:
        signal.signal(number, _stop)


@contextmanager
def postponed() -> Iterator[None]:
    """Hold a signal back while something is done that must not be left half done; it stops the run afterwards."""
    _State.held += 1
    try:
        yield
    finally:
        _State.held -= 1
        if not _State.held and not _State.raised:
            check()


def check() -> None:
    """Raise Stopped if a signal came: where it was raised first, a library may have dropped it."""
    if _State.status is not None:
        _State.raised = True
        raise Stopped(_State.status)


def _stop(number: int, _frame: FrameType | None) -> None:
    _State.count += 1
    if _State.count > MOST_PATIENT:
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)
    elif _State.count > 1:
        os.write(2, b"stopping; another signal ends it at once\n")
    else:
        _State.status = STATUS[signal.Signals(number)]
        if not _State.held:
            check()
