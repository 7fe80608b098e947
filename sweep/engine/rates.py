"""What is left of a run, in seconds: the parts that its work is made of, and what a unit of each took so far.

Tasks run dearest first, so their mean says little of those that are left, and a straight line through them less. A sum
of parts with one price each holds for both.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from sweep.engine.ranges import Ranges

if TYPE_CHECKING:
    from sweep.engine.loop import Job

Sizes = NDArray[np.float64]  # [parts]
Stretches = Sequence[tuple[int, int]]
EACH = 1000  # tasks that are all learned from; of the next thousand every second, and so on
RECENT = 0.98  # weight of what was learned, per stretch learned since
LEAST_S = 0.3  # an error counts beside what a stretch took, or beside this where it took less
PULL = 0.03  # weight of the assumed ratios, beside what was learned
STALE = 0.95  # of what was left when the mean of its positions was worked out: below that, it is anew
EACH_FIRST = 20  # tasks up to which it is worked out for each
FIRST_GUESS_S = 2e-3  # of a position before anything is known; assumption, forgotten with the first task
ASKED_AT = 5  # positions at which a stretch is asked for its parts where that is to be cheap
ASKED_ABOUT = 200  # positions at which the parts of a long stretch are asked for


class Outlook(Protocol):
    """The parts of a job's work: numbers that its cost is a sum of multiples of, none of them below 0."""

    assumed: Sizes  # seconds of a unit of each part before anything is known; their ratios last longest

    def did(self, start: int, stop: int) -> Sizes | None:
        """Return the parts of a stretch that ended; what of it is kept for others is not asked for again.

        None where chance decided what it did.
        """

    def left(self, todo: Ranges) -> Sizes:
        """Return the parts of all positions that no task has."""

    def foreseen(self, start: int, stop: int) -> Sizes:
        """Return the parts of a stretch for a worker that keeps what it should by now; asked often, so it is cheap."""

    def anew(self, start: int, stop: int) -> Sizes:
        """Return the parts of a stretch for a worker that keeps nothing from other tasks."""


@runtime_checkable
class Foreseeing(Protocol):
    """A job that knows what its work is made of."""

    def outlook(self, cores: int) -> Outlook:
        """Return the parts of its work on so many cores, of which nothing is done."""


def outlook_of(job: Job, cores: int) -> Outlook:
    """Return the parts of a job's work on so many cores."""
    return job.outlook(cores) if isinstance(job, Foreseeing) else ByFeatures(job)


class Rates:
    """Seconds of a unit of each part: least squares, none below 0, recent stretches first."""

    def __init__(self, assumed: Sizes) -> None:
        self._assumed = np.array(assumed, dtype=np.float64)
        self._moments = np.zeros((self._assumed.size, self._assumed.size))
        self._sums = np.zeros(self._assumed.size)
        self._each: Sizes | None = None  # fitted; None: to be done

    def learn(self, sizes: Sizes, seconds: float) -> None:
        """Take note that a stretch with these parts took so long."""
        scale_s = max(seconds, LEAST_S)
        self._moments = RECENT * self._moments + np.outer(sizes, sizes) / scale_s
        self._sums = RECENT * self._sums + sizes * (seconds / scale_s)
        self._each = None

    def seconds(self, sizes: Sizes) -> float:
        """Return what such parts should take."""
        if self._each is None:
            self._each = self._fitted()
        return float(self._each @ sizes)

    def _fitted(self) -> Sizes:
        each = self._assumed
        if not self._sums @ each:
            return each
        each = each * (self._sums @ each) / (each @ self._moments @ each)
        # in units of `each`, for parts differ by many powers of ten
        moments, sums = self._moments * np.outer(each, each), self._sums * each
        pull = PULL * moments.diagonal() + np.finfo(float).eps * sums.sum()
        moments, sums = moments + np.diag(pull), sums + pull
        free, found = np.ones(each.size, np.bool_), np.zeros(each.size)
        while True:
            found[free] = np.linalg.solve(moments[np.ix_(free, free)], sums[free])
            if found.min() >= 0:
                return found * each
            worst = int(np.argmin(found))
            free[worst], found[worst] = False, 0.0


class ByFeatures:
    """The outlook of a job that says no more than the features of a position: each, pairs of them, and the number."""

    def __init__(self, job: Job) -> None:
        self._job = job
        first = self._of([0])
        self.assumed = FIRST_GUESS_S / first.size / first

    def did(self, start: int, stop: int) -> Sizes:
        """Return the parts of a stretch."""
        return self._stretch(start, stop, ASKED_ABOUT)

    def foreseen(self, start: int, stop: int) -> Sizes:
        """Return the parts of a stretch; both its ends are asked, for what is dear is often at one."""
        return self._stretch(start, stop, ASKED_AT)

    anew = did

    def left(self, todo: Ranges) -> Sizes:
        """Return the parts of what is left."""
        some = todo.spread(ASKED_ABOUT)
        return self._of(some) * (len(todo) / len(some)) if some else np.zeros_like(self.assumed)

    def _stretch(self, start: int, stop: int, looks: int) -> Sizes:
        looks = min(looks, stop - start)
        some = [start + look * (stop - start - 1) // max(looks - 1, 1) for look in range(looks)]
        return self._of(some) * ((stop - start) / len(some))

    def _of(self, positions: list[int]) -> Sizes:
        features = np.exp(np.array([self._job.features(position) for position in positions])).T
        pairs = [one * other for one, other in combinations(features, 2)]
        return np.array([len(positions), *(each.sum() for each in (*features, *pairs))])


class Remaining:
    """The time that a run has still to go, learned from its tasks."""

    def __init__(self, job: Job, cores: int) -> None:
        self._outlook, self._cores, self._priced = outlook_of(job, cores), cores, isinstance(job, Foreseeing)
        self._rates = Rates(self._outlook.assumed)
        self._tasks, self._all = 0, (0, 0.0)

    @property
    def knows(self) -> bool:
        """Whether a task has ended."""
        return self._tasks > 0

    def task_s(self, start: int, stop: int) -> float:
        """Return what a stretch should take whatever worker gets it, in core-seconds."""
        return self._rates.seconds(self._outlook.foreseen(start, stop))

    def work_s(self, todo: Ranges) -> float:
        """Return what is left in core-seconds, of which the mean of a position is worked out now and then."""
        length, each_s = self._all
        if not STALE * length < len(todo) <= length or self._tasks < EACH_FIRST:
            each_s = self._rates.seconds(self._outlook.left(todo)) / len(todo)
            self._all = len(todo), each_s
        return each_s * len(todo)

    def learn(self, start: int, stop: int, seconds: float, fresh: bool = False) -> None:
        """Take note that a stretch took so long; of very many, some do.

        fresh: it took what loading code takes besides, which says less than prices that were measured before.
        """
        self._tasks += 1
        if self._tasks % (1 + self._tasks // EACH):
            return
        if (sizes := self._outlook.did(start, stop)) is not None and not (fresh and self._priced):
            self._rates.learn(sizes, seconds)

    def seconds(self, todo: Stretches, flying: Stretches) -> float:
        """Return the wall time until all is done. flying: what tasks are at, or wait for a core; oldest first."""
        running = flying[: self._cores]
        all_s = self._rates.seconds(self._outlook.left(Ranges([*todo, *flying])))
        begun_s = self._rates.seconds(self._outlook.left(Ranges(running))) / 2
        longest_s = max(
            (self._rates.seconds(self._outlook.anew(*each)) / 2 for each in running[:ASKED_ABOUT]), default=0.0
        )
        return max((all_s - begun_s) / self._cores, longest_s)  # the longest task is waited for
