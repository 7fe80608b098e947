"""How long a plan should take: a few stretches of it are run and timed, and nothing is kept."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import numpy as np

from sweep.engine.cost import CostModel
from sweep.engine.ranges import Ranges

if TYPE_CHECKING:
    from sweep.engine.loop import Job

PROBES = 512  # stretches that may be timed, spread over the plan
PROBED_S = 1.5  # CPU-seconds for them in all
STEP = 1.5  # a stretch is timed after one that should cost so many times less, so that none is dear unforeseen
DEARER = 3  # times what the last one took that the next may take
PROBED_POSITIONS = 48  # of a probe: a scenario can have a million
ASKED = 200  # positions at which the fitted cost is asked for


def seconds(job: Job, total: int, cores: int) -> float:
    """Return the wall time that `total` positions should take on so many idle cores, start-up left out."""
    cost = CostModel()
    # neighbours that share most of their work, and all of what makes a position dear
    grain = max((each for each in job.grains if 1 < each <= PROBED_POSITIONS), default=job.grains[:2][-1])
    starts = np.unique(np.linspace(0, total - 1, PROBES).astype(np.int64) // grain * grain)
    expected = [cost.predict(job.features(start)) for start in starts.tolist()]
    rungs = np.floor(np.log(expected) / np.log(STEP))
    ladder = [int(np.random.default_rng(0).choice(starts[rungs == rung])) for rung in np.unique(rungs)]
    _probed(job, ladder[0], min(grain, total - ladder[0]))  # compiles
    left, took_s = PROBED_S, 0.0
    for start in ladder:
        if DEARER * took_s > left:
            break
        each_s, took_s = _probed(job, start, min(grain, total - start))
        cost.learn(job.features(start), each_s)
        left -= took_s
    return left_s(job, cost, Ranges([(0, total)]), 0, cores)


def left_s(job: Job, cost: CostModel, todo: Ranges, flying: int, cores: int) -> float:
    """Return the wall time that what is left should take on so many cores.

    todo: positions that no task has. flying: positions of the tasks under way, of which half is taken for done.
    """
    at = todo.spread(ASKED)
    each = [cost.predict(job.features(position)) for position in at] or [cost.predict(job.features(0))]
    return float(np.mean(each)) * (len(todo) + flying / 2) / cores


def _probed(job: Job, start: int, count: int) -> tuple[float, float]:
    """Return the CPU time of each position of a stretch, told by one and by some where it is long, and of telling."""
    some = min(count, PROBED_POSITIONS)
    several = _timed(job, start, some)
    if some == count:
        return several / count, several
    alone = _timed(job, start, 1)
    more = max(several - alone, 0.0) / (some - 1) * (count - some)
    return (several + more) / count, several + alone


def _timed(job: Job, start: int, count: int) -> float:
    began = time.process_time()
    job.work(start, start + count)
    return max(time.process_time() - began, 1e-6)
