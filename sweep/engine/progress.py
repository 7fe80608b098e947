"""What a person sees while a run goes on: a bar on a terminal, a line now and then in a log. All on stderr."""

from __future__ import annotations

import sys
import time
from datetime import timedelta
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bar

LINE_EVERY_S = 5.0
MOST_S = 1e9  # a time left that is as good as any longer one


class Progress:
    """Counts positions; rate and time left are those of this start of the run, without what was there before."""

    def __init__(self, total: int, done: int) -> None:
        self._total, self._before, self._done = total, done, done
        self._began = self._shown = time.monotonic()
        console = Console(stderr=True)
        self._bar: Bar | None = None
        if console.is_terminal:
            self._bar = Bar(
                TextColumn("points"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[rate]:,.0f}/s"),
                TimeElapsedColumn(), TextColumn("{task.fields[left]}"), console=console,
            )  # fmt: skip
            self._task = self._bar.add_task("points", total=total, completed=done, rate=0.0, left="")

    def __enter__(self) -> Progress:
        if self._bar:
            self._bar.start()
        else:
            say(f"{self._total - self._done:,} of {self._total:,} positions to do")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar:
            self._bar.stop()
        else:
            say(f"{self._done:,} of {self._total:,} done in {time.monotonic() - self._began:,.1f} s")

    def advance(self, positions: int) -> None:
        """Count positions as done."""
        self._done += positions

    def show(self) -> None:
        """Show where the run is, if it is time to."""
        now = time.monotonic()
        rate = (self._done - self._before) / max(now - self._began, 1e-9)
        left = "no task has ended yet"
        if rate:  # rich's own estimate believes the last few tasks, which come in bursts
            left_s = (self._total - self._done) / rate
            left = f"{timedelta(seconds=round(min(left_s, MOST_S)))} left"
        if self._bar:
            self._bar.update(self._task, completed=self._done, rate=rate, left=left)
        elif now - self._shown >= LINE_EVERY_S:
            self._shown = now
            say(f"{self._done:,} of {self._total:,}  {rate:,.1f}/s  {left}")


def say(line: str) -> None:
    """Write one line for a person or a log."""
    print(line, file=sys.stderr, flush=True)
