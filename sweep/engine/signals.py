"""Ctrl-C and a batch system's SIGTERM: the run stops where it is, and can be resumed, since parts land whole."""

from __future__ import annotations

import signal
from types import FrameType

from sweep.errors import INTERRUPTED, TERMINATED

STATUS = {signal.SIGINT: INTERRUPTED, signal.SIGTERM: TERMINATED}


class Stopped(BaseException):
    """Raised wherever the driver is when a signal asks it to stop; `status` is what it exits with.

    No error, as KeyboardInterrupt is none: nothing may take it for one.
    """

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


def install() -> None:
    """Make both signals raise Stopped. Ray takes SIGTERM for itself when it starts, so this is done again after it."""
    for number in STATUS:
        signal.signal(number, _stop)


def _stop(number: int, _frame: FrameType | None) -> None:
    raise Stopped(STATUS[signal.Signals(number)])
