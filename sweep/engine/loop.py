"""The loop that every job runs in: cut the plan into tasks, keep the cluster busy, land each position once.

A job is a row of positions. A task is a stretch of them, of any length: rows are a function of the position alone, so
how the plan is cut, where a piece runs and how often it is tried never shows in the results.
"""

from __future__ import annotations

import itertools
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, runtime_checkable

import pyarrow as pa

from sweep.engine import signals
from sweep.engine.cut import Cutter
from sweep.engine.progress import Progress
from sweep.engine.ranges import Ranges
from sweep.engine.rates import Remaining

if TYPE_CHECKING:
    from sweep.engine.store import Store

POLL_S = 0.25


class Job(Protocol):
    """What a run does. A job is pickled once and sent to every worker, so it is small: a plan, not its points."""

    @property
    def tables(self) -> tuple[str, ...]:
        """Names of what `work` returns; the last is the record, which says that a task is done."""

    @property
    def grains(self) -> tuple[int, ...]:
        """Ascending, from 1: numbers of positions that share work, so that cuts between them cost least."""

    @property
    def inputs(self) -> str:
        """Digest of what it reads beside its config; '' if nothing."""

    @property
    def per_node(self) -> bool:
        """Whether each position wants a node of its own, and to be alone there."""

    def positions(self, nodes: int) -> int:
        """Return how many positions there are, on a cluster of so many nodes."""

    def count(self) -> int:
        """Return how many of the positions are points."""

    def work(self, start: int, stop: int) -> dict[str, pa.Table]:
        """Return the tables of the positions from `start` to `stop`, rows in order of position."""

    def features(self, position: int) -> tuple[float, ...]:
        """Return logarithms of what the cost of a position may be a sum of multiples of, and of products of two."""

    def settings(self, position: int) -> Mapping[str, Any]:
        """Return what a position is, for a message about it."""


@runtime_checkable
class Growing(Job, Protocol):
    """A job that decides by what landed whether there is more to do."""

    def extended(self, store: Store) -> Growing | None:
        """Return a job that continues this one, with the same positions and more; None when it is done."""


@runtime_checkable
class Telling(Job, Protocol):
    """A job whose results are few and of interest at once."""

    def told(self, store: Store) -> Iterator[str]:
        """Yield lines about what landed."""


@dataclass(frozen=True)
class Resources:
    """What a position takes of a node while it runs."""

    cores: int
    memory_bytes: int


@runtime_checkable
class Regional(Job, Protocol):
    """A job whose positions share most of their work within a region: a worker had best stay in one."""

    @property
    def region(self) -> int:
        """Number of positions of a region; they begin at its multiples."""


@runtime_checkable
class HeavyJob(Job, Protocol):
    """A job whose positions take more than a core, and long: each is a task of its own."""

    def resources(self, position: int) -> Resources:
        """Return what a position takes."""


def has_cores_to_itself(job: Job) -> bool:
    """Whether a job's positions take long and are not to be tried: they measure, or boot a machine."""
    return job.per_node or isinstance(job, HeavyJob)


@runtime_checkable
class Compiling(Job, Protocol):
    """A job whose positions need much machine code."""

    def rehearsals(self, position: int) -> Sequence[Callable[[], object]]:
        """Return what compiles it, in parts that have none of it in common, so that several workers may."""


def rehearsals(job: Job, position: int) -> Sequence[Callable[[], object]]:
    """Return what compiles all that a job needs."""
    if has_cores_to_itself(job):
        return ()
    return job.rehearsals(position) if isinstance(job, Compiling) else (lambda: job.work(position, position + 1),)


@runtime_checkable
class Measuring(Job, Protocol):
    """A job whose rows depend on more than config and code."""

    def about(self) -> Mapping[str, Any]:
        """Return what the manifest says of it: `deterministic`, and what was measured with."""


@runtime_checkable
class Foretelling(Job, Protocol):
    """A job whose cost is known beforehand, and too dear to be tried."""

    def foretold(self, cores: int) -> Iterator[tuple[str, str]]:
        """Yield names and texts of what a run on so many cores would do, and how long it would take."""


@dataclass(frozen=True)
class Task:
    """Positions from `start` to `stop`, tried before as often as `attempts` says."""

    start: int
    stop: int
    attempts: int = 0


@dataclass(frozen=True)
class Done:
    """A task whose parts are committed. fresh: it was its worker's first, which loads code besides."""

    task: Task
    rows: int
    seconds: float
    fresh: bool = False


@dataclass(frozen=True)
class Failed:
    """A task that did not land.

    why: `raised` by one of its positions; `lost` with its worker; `fatal`, which no other task would fare better with.
    """

    task: Task
    reason: str
    why: str


Item = TypeVar("Item")
Given = TypeVar("Given")


class Executor(Protocol):
    """Where tasks run."""

    cores: int
    nodes: list[dict[str, Any]]

    def serve(self, job: Job) -> None:
        """Take tasks of this job from now on."""

    def submit(self, task: Task) -> None:
        """Start a task, or queue it."""

    def wait(self, timeout_s: float) -> list[Done | Failed]:
        """Return what ended; wait for it no longer than `timeout_s`."""

    def each(self, do: Callable[[Item], Given], items: Sequence[Item], retries: int) -> Iterator[Given]:
        """Yield what `do` returns of each item, in any order; again as often as `retries` where a worker dies.

        Raises ClusterError if it cannot be done.
        """

    def close(self) -> None:
        """Drop what is under way and let the cluster go."""


@dataclass(frozen=True)
class Policy:
    """See `conf/cluster/_policy.yaml`."""

    task_s: float
    in_flight: int | None
    retries: int
    max_failed: int


@dataclass
class Outcome:
    """What became of a run."""

    failed: dict[int, str] = field(default_factory=dict)  # position -> reason
    simulation_s: float = 0.0
    tasks: int = 0
    rows: int = 0
    fatal: str | None = None  # why the run cannot go on


def drive(  # noqa: PLR0917 (a loop has what it has)
    job: Job, todo: Ranges, executor: Executor, policy: Policy, progress: Progress, outcome: Outcome
) -> None:
    """Run every position of `todo` once; add to `outcome` what failed and why it stopped."""
    remaining, again = Remaining(job, executor.cores), list[Task]()
    cutter = Cutter(job, todo, remaining, policy)
    under_way = dict[Task, None]()  # in the order in which they were handed out
    ended = deque[int]()  # where the workers that are idle now left off
    while outcome.fatal is None and (under_way or todo or again):
        while len(under_way) < executor.cores * cutter.in_flight and (todo or again):
            near = ended.popleft() if ended else None
            first = not (under_way or remaining.knows)
            task = again.pop() if again else Task(*cutter.cut(executor.cores, near, first))
            executor.submit(task)
            under_way[task] = None
        ended.clear()
        for end in executor.wait(POLL_S):
            del under_way[end.task]
            ended.append(end.task.start)
            outcome.tasks += 1
            if isinstance(end, Done):
                remaining.learn(end.task.start, end.task.stop, end.seconds, end.fresh)
                outcome.simulation_s += end.seconds
                outcome.rows += end.rows
                progress.advance(end.task.stop - end.task.start)
            else:
                again += _smaller(end, policy, outcome)
        progress.show(len(under_way), partial(_left_s, remaining, todo, again, under_way))
        signals.check()


def _left_s(remaining: Remaining, todo: Ranges, again: Iterable[Task], under_way: Iterable[Task]) -> float:
    """Return the time that a run has still to go; asked for now and then, not at each task."""
    waiting, flying = ([(task.start, task.stop) for task in tasks] for tasks in (again, under_way))
    return remaining.seconds(todo.stretches() + waiting, flying)


def _smaller(end: Failed, policy: Policy, outcome: Outcome) -> list[Task]:
    """Return what to try next: the task again if its worker died, else its halves, until one position stands alone."""
    task = end.task
    if end.why == "fatal":
        outcome.fatal = end.reason
        return []
    if end.why == "lost" and task.attempts < policy.retries:
        return [Task(task.start, task.stop, task.attempts + 1)]
    if task.stop - task.start == 1:
        outcome.failed[task.start] = end.reason
        if len(outcome.failed) > policy.max_failed:
            outcome.fatal = f"more than {policy.max_failed} points failed (cluster.max_failed); the last: {end.reason}"
        return []
    middle = (task.start + task.stop) // 2
    return [Task(task.start, middle), Task(middle, task.stop)]


_served = itertools.count()  # tasks that this process took


def run_task(job: Job, root: str, code: str, task: Task) -> Done | Failed:
    """Do a task and commit its parts: the only function that travels. `code` names the core that the driver has."""
    from sweep.engine.store import Store
    from sweep.version import refusal

    if (reason := refusal(code)) is not None:
        return Failed(task, reason, "fatal")
    fresh, began = next(_served) == 0, time.perf_counter()
    try:
        tables = job.work(task.start, task.stop)
    except ImportError as error:
        return Failed(task, f"a worker lacks a module ({error}); install the same packages everywhere", "fatal")
    except Exception as error:
        return Failed(task, f"{type(error).__name__}: {error}", "raised")
    seconds = time.perf_counter() - began
    try:
        store = Store(root)
        for name in job.tables:
            store.write_part(name, task.start, task.stop, tables[name])
    except OSError as error:
        return Failed(task, unwritable(root, error), "fatal")
    return Done(task, tables[job.tables[-1]].num_rows, seconds, fresh)


def unwritable(root: str, error: OSError) -> str:
    """Return the line for a run's folder that takes no more."""
    return f"cannot write to {root}: {error}; make room, then the same command resumes"
