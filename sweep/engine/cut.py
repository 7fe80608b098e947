"""How a plan is cut into tasks: where the next one is taken from, and how long it is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sweep.engine.rates import Remaining

if TYPE_CHECKING:
    from sweep.engine.loop import Job, Policy
    from sweep.engine.ranges import Ranges

LEAST_TASK = 0.25  # of `task_s`: below that, what positions share and what a task costs weigh more than idle cores
MOST_OVER = 3.0  # a grain may take so many times what a task should before it is cut: that nearly doubles its work
LATE_OVER = 1.3  # the same once a core's share of the rest is less than such a task, and others would wait for it
FIRST_TASK = 128  # positions of a task before any has ended, unless a grain is somewhat longer
FIRST_S = 0.5  # of the very first task, which is taken where the plan is cheap: what it says is known early
MOST_BESIDE = 64  # grains that others began and that are passed by before one of them is helped with
TASKS_PER_S = 250  # that a driver aims at: a quarter of what Ray takes from one, for many tasks come out shorter


class Cutter:
    """Takes tasks off what is left of a plan."""

    def __init__(self, job: Job, todo: Ranges, remaining: Remaining, policy: Policy) -> None:
        from sweep.engine.loop import HeavyJob, Regional

        self._one_by_one = isinstance(job, HeavyJob)
        self._grains, self._todo, self._remaining, self._task_s = job.grains, todo, remaining, policy.task_s
        # a task that waits goes to whatever worker is idle first, so that none would stay where it is
        region = job.region if todo and isinstance(job, Regional) and policy.in_flight in {None, 1} else 0
        self._untouched = todo.ends()[1] // region if region else 0  # the last region that nobody was in
        self._region = region if self._untouched else 0  # in the only one all are anyway
        self._begun = set[int]()  # largest grains, by number, of which a part was taken and a part is left
        self.in_flight = policy.in_flight or (1 if self._region else 2)  # tasks per core

    def cut(self, cores: int, near: int | None, very_first: bool) -> tuple[int, int]:
        """Take the next task, for a worker that was last at `near`, if that is known.

        It stays in its region, or goes to one that nobody is in, while there are such. There the task is taken off
        that end which costs more, so that what is long is not left for last. A task is as many whole grains as a core's
        share of the rest and `task_s` allow. A grain that takes much longer is cut, at the next finer grain that fits:
        its parts do what they share once each.
        """
        todo, remaining = self._todo, self._remaining
        if self._one_by_one:
            first, _ = todo.ends()
            return todo.take_up(first, first + 1)
        share_s = remaining.work_s(todo) / (3 * cores)  # so that all cores end together, with slow ones among them
        task_s = max(self._task_s, cores / TASKS_PER_S)
        aim_s = FIRST_S if very_first else min(task_s, max(share_s, LEAST_TASK * task_s))
        most = len(todo) // cores if remaining.knows else min(FIRST_TASK, len(todo) // (4 * cores))
        first, last = self._ends(near, aim_s)
        from_last = self._dearer_last(first, last) != very_first

        def stretch(length: int, grain: int) -> range:
            start = last - last % grain + grain - length if from_last else first - first % grain
            return range(max(start, first), min(start + length, last + 1))

        def fits(length: int, grain: int, over: float) -> bool:
            at = stretch(length, grain)
            return length <= over * most and remaining.task_s(at.start, at.stop) <= over * aim_s

        for grain in reversed(self._grains):
            if grain == 1 or fits(grain, grain, MOST_OVER if share_s > task_s else LATE_OVER):
                break
        length = grain
        while length < last + 1 - first and fits(2 * length, grain, 1.0):
            length *= 2
        taken = stretch(length, grain)
        start, stop = todo.take_down(last, taken.start) if from_last else todo.take_up(first, taken.stop)
        if self._of_grain(start):
            self._begun.add(start // self._grains[-1])
        else:
            self._begun.discard(start // self._grains[-1])
        return start, stop

    def _ends(self, near: int | None, aim_s: float) -> tuple[int, int]:
        """Return the first and last position between which a task may be taken."""
        region, todo = self._region, self._todo
        if not region or self._remaining.task_s(0, region) < aim_s:  # tasks are of whole regions
            return todo.ends()
        if near is not None and (ends := todo.ends_within(near - near % region, region)):
            return self._of_grain(near) or self._beside_others(*ends)
        while self._untouched >= 0:
            at, self._untouched = self._untouched, self._untouched - 1
            if ends := todo.ends_within(at * region, region):
                return ends
        first, last = todo.ends()
        dear = last if self._dearer_last(first, last) else first
        ends = todo.ends_within(dear - dear % region, region)
        assert ends is not None
        return self._beside_others(*ends)

    def _of_grain(self, at: int) -> tuple[int, int] | None:
        """Return the ends of what is left of the largest grain that a position is in."""
        length = self._grains[-1]
        return self._todo.ends_within(at - at % length, length)

    def _beside_others(self, first: int, last: int) -> tuple[int, int]:
        """Return ends further in, if grains there are begun and some are not: whoever began one goes on with it."""
        length, todo, ends = self._grains[-1], self._todo, (first, last)
        for _ in range(MOST_BESIDE):
            at, end = ends
            if end // length in self._begun:
                inner = todo.ends_within(at, end - end % length - at)
            elif at // length in self._begun:
                beyond = at - at % length + length
                inner = todo.ends_within(beyond, end + 1 - beyond)
            else:
                return ends
            if inner is None:
                break
            ends = inner
        return first, last

    def _dearer_last(self, first: int, last: int) -> bool:
        return self._remaining.task_s(last, last + 1) > self._remaining.task_s(first, first + 1)
