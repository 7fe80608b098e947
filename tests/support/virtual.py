"""A cluster in virtual time: the engine's own loop drives it, and no task does any work."""

from __future__ import annotations

import heapq
import random
import time
from collections import deque
from dataclasses import dataclass, field

from core.charge.load import window_key
from sweep.engine.loop import Done, Failed, Outcome, Policy, drive
from sweep.engine.progress import Progress
from sweep.engine.ranges import Ranges
from sweep.plan.expand import Expander

POLICY = Policy(task_s=4.0, in_flight=None, retries=2, max_failed=100)
START_S = 1e-3  # what a task costs beside its work


@dataclass
class Churn:
    """What points of the churn experiment cost, in seconds of a core, by what its parts were measured to take.

    A task draws the streams of a replicate, unless this worker has those of as many CPUs; replays a window for each
    machine in it, unless this worker did so at another churn rate that has the same; on slabs of memcgs' own, no more
    than what differs from a still window, once that was replayed. It draws each scenario's memcgs, unless this worker
    was in that scenario last; walks each design's life on each machine; and prices each point.
    """

    plan: object
    known: dict[int, set] = field(default_factory=dict)  # worker -> windows that it replayed
    windows: dict[tuple, object] = field(default_factory=dict)  # replicate, cpus and churn -> window
    drawn: dict[int, tuple[int, int]] = field(default_factory=dict)  # worker -> replicate and CPUs of its streams
    populated: dict[int, int] = field(default_factory=dict)  # worker -> scenario whose memcgs it has

    def seconds(self, task, worker):
        """Return how long a task takes on a worker."""
        positions, columns = self.plan.columns(task.start, task.stop)
        scenarios = (positions // self.plan.grain).tolist()
        known = self.known.setdefault(worker, set())
        lives, parts, spent = set(), set(), 0.0012 * len(positions)
        axes = (columns[name] for name in ("replicate", "cpus", "churn_hz", "design"))
        for position, scenario, replicate, cpus, churn_hz, design in zip(
            positions.tolist(), scenarios, *axes, strict=True
        ):
            window = self._window(position, replicate, cpus, churn_hz)
            whose = {"unaccounted": "shared", "objcg": "bytes"}.get(design, "own")
            if (window, whose) not in known and (window, whose) not in parts:
                of, most = self.drawn.get(worker, (replicate, 0))
                if of != replicate or most < cpus:
                    spent += 0.0015 * cpus
                    self.drawn[worker] = replicate, cpus
                spent += {"shared": 0.0015, "own": 0.0002, "bytes": 0.0019}[whose] * cpus
                parts.add((window, whose))
            still = (replicate, cpus)
            if whose == "own" and still not in known and still not in parts:
                spent += 0.0016 * cpus
                parts.add(still)
            life = (scenario, cpus, {"reparent_atomic": "reparent_percpu"}.get(design, design))
            if life not in lives:
                lives.add(life)
                spent += 0.004 + 0.005 * churn_hz
            if self.populated.get(worker) != scenario:
                self.populated[worker] = scenario
                spent += 0.012 + 0.06 * churn_hz
        known |= parts
        return spent

    def _window(self, position, replicate, cpus, churn_hz):
        key = (replicate, cpus, churn_hz)
        if key not in self.windows:
            self.windows[key] = window_key(Expander(self.plan).point(self.plan.values(position)))
        return self.windows[key]


class Virtual:
    """An executor whose workers take `seconds(task, worker)` of virtual time.

    lost: the share of tasks whose worker dies half-way; slow: the share of workers that take four times as long.
    """

    def __init__(self, cores, seconds, *, lost=0.0, slow=0.0, seed=1):
        self.cores, self.nodes = cores, [{"host": "virtual", "cores": cores}]
        self._seconds, self._lost, self._random = seconds, lost, random.Random(seed)
        self._pace = [4.0 if self._random.random() < slow else 1.0 for _ in range(cores)]
        self._idle = deque(range(cores))
        self._queue = deque()
        self._ends = []
        self.now_s = self.busy_s = 0.0
        self.tasks = 0

    def serve(self, job):
        """Take any job: none is worked on."""

    def submit(self, task):
        """Start a task on an idle worker, or queue it."""
        self._queue.append(task)
        self._start()

    def _start(self):
        while self._queue and self._idle:
            task, worker = self._queue.popleft(), self._idle.popleft()
            seconds = self._seconds(task, worker) * self._pace[worker]
            lost = self._random.random() < self._lost
            takes_s = seconds / 2 if lost else seconds
            self.busy_s += takes_s
            self.tasks += 1
            heapq.heappush(self._ends, (self.now_s + takes_s + START_S, self.tasks, worker, task, seconds, lost))

    def wait(self, timeout_s):
        """Return what ends next, and what ends within a hundredth of a second of that."""
        ended, until = [], self._ends[0][0] + 0.01
        while self._ends and self._ends[0][0] <= until:
            self.now_s, _, worker, task, seconds, lost = heapq.heappop(self._ends)
            self._idle.append(worker)
            ended.append(
                Failed(task, "its worker died", "lost") if lost else Done(task, task.stop - task.start, seconds)
            )
        self._start()
        return ended

    def close(self):
        """Nothing is under way that costs anything."""


@dataclass(frozen=True)
class Driven:
    """What driving a job on a virtual cluster came to."""

    efficiency: float  # share of the cores' time that was work
    wall_s: float  # virtual
    work_s: float
    tasks: int
    driver_s: float  # real seconds of this process, the cluster's own included
    outcome: Outcome


def driven(job, positions, cluster, policy=POLICY):
    """Drive a job with the engine's own loop."""
    outcome, began = Outcome(), time.process_time()
    with Progress(positions, 0) as shown:
        drive(job, Ranges([(0, positions)]), cluster, policy, shown, outcome)
    spent = time.process_time() - began
    return Driven(
        cluster.busy_s / (cluster.now_s * cluster.cores), cluster.now_s, cluster.busy_s, cluster.tasks, spent, outcome
    )
