"""What the points of a plan cost: rows, the memcgs of their lives, and the windows that their machines replay.

Windows are most of the work, and a worker keeps what it counted in one for every scenario that has the same. So what a
window costs depends on who replayed it before.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Hashable, Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np

from core.charge.load import replay_key
from sweep.engine.ranges import Ranges
from sweep.engine.rates import Sizes
from sweep.plan.expand import Expander
from sweep.plan.plan import Plan

MOST_MACHINES = 1024  # machines of a plan that are looked at one by one
SOME = 200  # that are looked at of more
ALL_LOOKED_AT = 8  # machines of a stretch that are all looked at
DRAWN = 0.2  # of what a window takes a machine: it is drawn once, and replayed as each of its designs asks
UNSURE = (0.1, 0.9)  # chance that a window is new, between which it says little what a stretch took
LOOKS_AT_MACHINE = 64  # positions of a machine at which it is asked what `where` leaves out


class _Machine(NamedTuple):
    """Neighbouring positions that replay one window."""

    points: float
    memcgs: float  # that come and go in the lives of its points
    window: Hashable
    events: float  # allocations of the window
    position: int  # of one of its points


class PlanOutlook:
    """The parts of a plan's work on so many cores: points, memcgs of lives, allocations of windows."""

    assumed = np.array([1.7e-3, 1.5e-9, 0.9e-6])  # core-seconds of one each; docs/performance.md has the command

    def __init__(self, plan: Plan, cores: int) -> None:
        self._plan, self._expander = plan, Expander(plan)
        self._span = math.prod(len(dim) for dim in plan.dims if not (dim.of_scenario or dim.of_machine))
        machines = plan.positions // self._span
        self._all = machines <= MOST_MACHINES
        self._some = np.sort(np.random.default_rng(0).integers(0, machines, SOME))  # of more machines, those looked at
        self._new = 1.0 - 1.0 / cores  # chance that a window which one task replayed is new to the worker of another
        self._replayed: Counter[Hashable] = Counter()
        self._looked_at: dict[int, _Machine] = {}
        self._used: dict[int, int] = {}

    def did(self, start: int, stop: int) -> Sizes | None:
        """Return the parts of a stretch, None if one can but guess whether its worker had its windows.

        Whoever replayed them keeps them from now on.
        """
        if self._is_long(start, stop):
            return self._sampled(self._ends(start, stop), stop - start)
        found = self._whole([(start, stop)], self._replayed)
        windows = [self._machine(at).window for at in self._machines(start, stop)]
        guessed = any(UNSURE[0] < self._new ** self._replayed[window] < UNSURE[1] for window in windows)
        self._replayed.update(windows)
        return None if guessed else found

    def foreseen(self, start: int, stop: int) -> Sizes:
        """Return the parts of a stretch for a worker that keeps what it should by now."""
        if self._is_long(start, stop):
            return self._sampled(self._ends(start, stop), stop - start)
        found = self._whole([(start, stop)], self._replayed)
        share = min(1.0, (stop - start) / self._span)
        return np.asarray(found * [1.0, 1.0, DRAWN + (1.0 - DRAWN) * share])

    def anew(self, start: int, stop: int) -> Sizes:
        """Return the parts of a stretch for a worker that keeps nothing."""
        if self._is_long(start, stop):
            return self._sampled(self._ends(start, stop), stop - start)
        return self._whole([(start, stop)], Counter())

    def left(self, todo: Ranges) -> Sizes:
        """Return the parts of what is left."""
        if self._all:
            return self._whole(todo.stretches(), self._replayed)
        starts, stops = np.array(sorted(todo.stretches()) or [(0, 0)]).T
        first = self._some * self._span
        inside = first < stops[np.maximum(np.searchsorted(starts, first, side="right") - 1, 0)]
        left = self._some[inside & (first >= starts[0])].tolist()
        return self._sampled(left or [at // self._span for at in todo.spread(1)], len(todo))

    def _is_long(self, start: int, stop: int) -> bool:
        return not self._all and len(self._machines(start, stop)) > ALL_LOOKED_AT

    def _ends(self, start: int, stop: int) -> list[int]:
        """Return the first, the middle and the last machine of a stretch."""
        return [at // self._span for at in (start, (start + stop) // 2, stop - 1)]

    def _whole(self, stretches: Iterable[tuple[int, int]], replayed: Counter[Hashable]) -> Sizes:
        points = memcgs = events = 0.0
        uses: Counter[Hashable] = Counter()
        each: dict[Hashable, float] = {}
        for start, stop in stretches:
            for at in self._machines(start, stop):
                machine = self._machine(at)
                share = (min(stop, (at + 1) * self._span) - max(start, at * self._span)) / self._span
                points += share * machine.points
                memcgs += share * machine.memcgs
                uses[machine.window] += 1
                each[machine.window] = machine.events
        for window, number in uses.items():
            events += each[window] * self._new ** replayed[window] * self._replays(number)
        return np.array([points, memcgs, events])

    def _sampled(self, machines: Iterable[int], total: int) -> Sizes:
        """Return the parts of so many positions by some machines; whether a worker has a window is taken as a mean."""
        found = []
        for at in machines:
            machine, uses = self._machine(at), self._uses(at)
            found.append((machine.points, machine.memcgs, machine.events * self._replays(uses) / uses))
        return np.sum(found, axis=0) * total / (len(found) * self._span) if found else np.zeros(3)

    def _replays(self, uses: int) -> float:
        """Return how often a window is replayed of so many times that it is used, on workers that each keep it."""
        return (1.0 - self._new**uses) / (1.0 - self._new)

    def _machines(self, start: int, stop: int) -> range:
        return range(start // self._span, (stop - 1) // self._span + 1)

    def _machine(self, at: int) -> _Machine:
        if at not in self._looked_at:
            first, last = at * self._span, (at + 1) * self._span - 1
            looks = np.unique(np.linspace(first, last, LOOKS_AT_MACHINE).astype(np.int64))
            kept = list(self._plan.kept(looks.tolist()))
            self._looked_at[at] = _Machine(0.0, 0.0, None, 0.0, first)
            if kept:
                point = self._expander.point(self._plan.values(kept[0]))
                points = self._span * len(kept) / looks.size
                memcgs = points * point.churn_hz * point.duration_s
                events = point.cpus * point.workload.charge.allocations_per_cpu
                self._looked_at[at] = _Machine(points, memcgs, replay_key(point), events, kept[0])
        return self._looked_at[at]

    def _uses(self, at: int) -> int:
        """Return how many scenarios share a machine's window; its neighbours along an axis stand for all of it."""
        if at not in self._used:
            machine, uses = self._machine(at), 1
            for dim in self._plan.dims if machine.points else ():
                near = self._plan.neighbours(machine.position, dim) if dim.of_scenario else ()
                uses *= len(dim) if any(self._window_at(each) == machine.window for each in near) else 1
            self._used[at] = uses
        return self._used[at]

    def _window_at(self, settings: Mapping[str, Any]) -> Hashable:
        try:
            return replay_key(self._expander.point(settings))
        except ValueError:  # `where` leaves it out
            return None
