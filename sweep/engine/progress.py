"""How far a run is: a bar on a terminal, a line now and then in a log, progress.json in its folder for machines."""

from __future__ import annotations

import contextlib
import json
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from types import TracebackType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.progress import Progress as Bar

LINE_EVERY_S = 5.0
MOST_S = 1e9  # a time left that is as good as any longer one


class Progress:
    """Counts positions; rate and time left are those of this start of the run, without what was there before.

    keep: writes what progress.json is to hold. compiling: whether the first task has to compile.
    """

    def __init__(
        self, total: int, done: int, keep: Callable[[bytes], None] = lambda _content: None, compiling: bool = False
    ) -> None:
        self._total, self._before, self._done = total, done, done
        self._keep, self._compiling, self._running = keep, compiling, 0
        self._told_s: float | None = None  # the time left, as it was last worked out anew, and when it will be over
        self._ends_at = 0.0
        self._began = time.monotonic()
        self._shown = self._began
        self._bar: Bar | None = None
        if sys.stderr is not None and sys.stderr.isatty():  # rich would take FORCE_COLOR for a terminal
            self._bar = _bar()
            self._task = self._bar.add_task("points", total=total, completed=done, rate=0.0, left="")

    def __enter__(self) -> Progress:
        if self._bar:
            self._bar.start()
        else:
            say(f"{self._total - self._done:,} of {self._total:,} positions to do")
        self._note("running")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar:
            self._bar.stop()
        else:
            say(f"{self._done:,} of {self._total:,} done in {time.monotonic() - self._began:,.1f} s")
        self._running, self._told_s, self._compiling = 0, None, False
        self._note("stopped" if kind or self._done < self._total else "landed")

    def advance(self, positions: int) -> None:
        """Count positions as done."""
        self._done += positions
        self._compiling = False

    def show(self, running: int = 0, left_s: Callable[[], float] | None = None) -> None:
        """Show where the run is, if it is time to. running: tasks under way; left_s: how long the rest should take.

        What is left changes as tasks end; while none does, it is counted down.
        """
        now = time.monotonic()
        due = now - self._shown >= LINE_EVERY_S
        if not due and not self._bar:
            return
        self._running = running
        rate = self._rate()
        if rate and (due or self._told_s is None):
            told_s = left_s() if left_s else (self._total - self._done) / rate
            if told_s != self._told_s:
                self._told_s, self._ends_at = told_s, now + told_s
        if self._bar:
            self._bar.update(self._task, completed=self._done, rate=rate or 0.0, left=self._left())
        if due:
            self._shown = now
            if not self._bar:
                say(f"{self._done:,} of {self._total:,}  {rate or 0:,.1f}/s  {self._left()}")
            self._note("running")

    def _rate(self) -> float | None:
        done = self._done - self._before
        return done / max(time.monotonic() - self._began, 1e-9) if done else None

    def _left_s(self) -> float | None:
        return None if self._told_s is None else max(self._ends_at - time.monotonic(), 0.0)

    def _left(self) -> str:
        if (left_s := self._left_s()) is not None:
            return f"{timedelta(seconds=round(min(left_s, MOST_S)))} left"
        return "compiling, as this code never ran here" if self._compiling else "no task has ended yet"

    def _note(self, state: str) -> None:
        content: dict[str, Any] = {
            "state": state,
            "points_done": self._done,
            "points_total": self._total,
            "rate_per_s": self._rate(),
            "eta_s": self._left_s(),
            "compiling": self._compiling,
            "tasks_running": self._running,
            "updated_at": datetime.now(UTC).isoformat(),
        }
        with contextlib.suppress(OSError):  # it is but a help
            self._keep(json.dumps(content, indent=2).encode())


def _bar() -> Bar:
    from rich import progress as rich
    from rich.console import Console

    columns = (
        rich.TextColumn("points"),
        rich.BarColumn(),
        rich.MofNCompleteColumn(),
        rich.TextColumn("{task.fields[rate]:,.0f}/s"),
        rich.TimeElapsedColumn(),
        rich.TextColumn("{task.fields[left]}"),
    )
    return rich.Progress(*columns, console=Console(stderr=True))


def say(line: str) -> None:
    """Write one line for a person or a log, if anybody can still read it."""
    with contextlib.suppress(OSError, ValueError):
        print(line, file=sys.stderr, flush=True)
