"""Rivals on the same work: interleaved rounds, their median, and ratios paired by round.

A machine that does other work slows every contestant of a round alike, so a ratio within a round says more than any
time does. What is quoted is CPU-seconds of this process and of the children it waited for, unless a contestant runs in
processes that nobody here can wait for.
"""

from __future__ import annotations

import os
import resource
import statistics
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple


class Row(NamedTuple):
    """One contestant of one contest.

    figures: of each round, in `unit`. figure, least, most: of these; the median leads. times: the median over rounds of
    this contestant's figure by that of the contest's first; 1 for the first itself. others: cores that the machine's
    other processes used during the contest; None where a contestant's own processes cannot be told from them.
    """

    contest: str
    contestant: str
    unit: str
    rounds: int
    figure: float
    least: float
    most: float
    times: float
    others: float | None
    figures: tuple[float, ...]


def cpu_s() -> float:
    """Return the CPU-seconds of this process and of its children that have ended."""
    spent = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(each.ru_utime + each.ru_stime for each in spent)


def timed(act: Callable[[], object], clock: Callable[[], float] = cpu_s) -> float:
    """Return what `act` takes by a clock."""
    began = clock()
    act()
    return clock() - began


def wall(act: Callable[[], object]) -> float:
    """Return the seconds that `act` takes."""
    return timed(act, time.perf_counter)


def busy_s(text: str | None = None) -> float:
    """Return the CPU-seconds of all processes since the machine started, and those that other machines took from it.

    text: of /proc/stat, whose first line counts ticks of user, nice, system, idle, iowait, irq, softirq and steal
    time (fs/proc/stat.c; what guests take is part of user and nice).
    """
    ticks = [int(each) for each in (text or Path("/proc/stat").read_text()).split("\n", 1)[0].split()[1:9]]
    return (sum(ticks) - sum(ticks[3:5])) / os.sysconf("SC_CLK_TCK")


def contest(
    name: str,
    contestants: Mapping[str, Callable[[], float]],
    *,
    rounds: int,
    unit: str = "CPU-s",
    waited_for: bool = True,
) -> list[Row]:
    """Run all contestants in turn, `rounds` times; each returns its own figure, less being better.

    waited_for: whether all processes that contestants start are; otherwise they would count as others.
    """
    began_s, ours_s, busy = time.perf_counter(), cpu_s(), busy_s()
    figures: dict[str, list[float]] = {each: [] for each in contestants}
    for _ in range(rounds):
        for each, act in contestants.items():
            figures[each].append(act())
    beside_s = busy_s() - busy - (cpu_s() - ours_s)
    others = max(beside_s, 0.0) / (time.perf_counter() - began_s) if waited_for else None
    first = figures[next(iter(contestants))]
    return [
        Row(
            contest=name,
            contestant=each,
            unit=unit,
            rounds=rounds,
            figure=statistics.median(found),
            least=min(found),
            most=max(found),
            times=statistics.median(one / base for one, base in zip(found, first, strict=True)),
            others=others,
            figures=tuple(found),
        )
        for each, found in figures.items()
    ]
