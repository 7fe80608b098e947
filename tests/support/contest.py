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
from typing import NamedTuple


class Row(NamedTuple):
    """One contestant of one contest.

    figures: of each round, in `unit`. figure, least, most: of these; the median leads. times: the median over rounds of
    this contestant's figure by that of the contest's first; 1 for the first itself. load: of the machine when the
    contest began.
    """

    contest: str
    contestant: str
    unit: str
    rounds: int
    figure: float
    least: float
    most: float
    times: float
    load: float
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


def contest(
    name: str, contestants: Mapping[str, Callable[[], float]], *, rounds: int, unit: str = "CPU-s"
) -> list[Row]:
    """Run all contestants in turn, `rounds` times; each returns its own figure, less being better."""
    load = os.getloadavg()[0]
    figures: dict[str, list[float]] = {each: [] for each in contestants}
    for _ in range(rounds):
        for each, act in contestants.items():
            figures[each].append(act())
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
            load=load,
            figures=tuple(found),
        )
        for each, found in figures.items()
    ]
