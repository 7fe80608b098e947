"""How long a plan should take: a few stretches of it are run and timed, and nothing is kept."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import numpy as np

from sweep.engine.cost import CostModel
from sweep.engine.ranges import Ranges

if TYPE_CHECKING:
    from sweep.engine.loop import Job

PROBES = 8  # stretches to time, spread over the plan
PROBED_S = 10.0  # no new probe is begun after this
PROBED_POSITIONS = 2048  # of a probe, where a plan may be cut there: a scenario can have a million
ASKED = 200  # positions at which the fitted cost is asked for


def seconds(job: Job, total: int, cores: int) -> float:
    """Return the wall time that `total` positions should take on so many cores, start-up left out."""
    cost, began = CostModel(), time.monotonic()
    grain = max((each for each in job.grains if each <= PROBED_POSITIONS), default=min(job.grains))
    starts = np.unique(np.linspace(0, total - 1, PROBES).astype(np.int64) // grain * grain).tolist()
    _timed(job, starts[0], 1)  # compiles
    for start in starts:
        if time.monotonic() - began > PROBED_S:
            break
        count = min(grain, total - start)
        cost.learn(job.features(start), _timed(job, start, count) / count)
    return left_s(job, cost, Ranges([(0, total)]), 0, cores)


def left_s(job: Job, cost: CostModel, todo: Ranges, flying: int, cores: int) -> float:
    """Return the wall time that what is left should take on so many cores.

    todo: positions that no task has. flying: positions of the tasks under way, of which half is taken for done.
    """
    at = todo.spread(ASKED)
    each = [cost.predict(job.features(position)) for position in at] or [cost.predict(job.features(0))]
    return float(np.mean(each)) * (len(todo) + flying / 2) / cores


def _timed(job: Job, start: int, count: int) -> float:
    began = time.perf_counter()
    job.work(start, start + count)
    return time.perf_counter() - began
