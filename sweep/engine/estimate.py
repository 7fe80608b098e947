"""How long a plan should take: a few stretches of it are run and timed, and nothing is kept."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import numpy as np

from sweep.engine.ranges import Ranges
from sweep.engine.rates import Rates, outlook_of

if TYPE_CHECKING:
    from sweep.engine.loop import Job

PROBES = 512  # stretches that may be timed, spread over the plan
PROBED_S = 1.5  # CPU-seconds for them in all
STEP = 1.5  # a stretch is timed after one that should cost so many times less, so that none is dear unforeseen
DEARER = 3  # times what it should cost, or the last one took, that a stretch may take
PROBED_POSITIONS = 48  # of a probe: a scenario can have a million


def seconds(job: Job, total: int, cores: int) -> float:
    """Return the wall time that `total` positions should take on so many idle cores, start-up left out."""
    # neighbours that share most of their work, and all of what makes a position dear
    grain = max((each for each in job.grains if 1 < each <= PROBED_POSITIONS), default=job.grains[:2][-1])
    starts = np.unique(np.linspace(0, total - 1, PROBES).astype(np.int64) // grain * grain)
    stretches = [(start, min(start + grain, total)) for start in starts.tolist()]
    whole = outlook_of(job, cores)
    all_of_it = whole.left(Ranges([(0, total)]))
    rates = Rates(whole.assumed)
    expected = np.array([rates.seconds(whole.anew(*stretch)) for stretch in stretches])
    rungs = np.floor(np.log(np.maximum(expected, 1e-9)) / np.log(STEP))
    order = np.random.default_rng(0).permutation(len(stretches))
    ladder = [next(at for at in order.tolist() if rungs[at] == rung) for rung in np.unique(rungs)]
    _probed(job, *stretches[ladder[0]])  # compiles
    here = outlook_of(job, 1)  # what this process did

    def learn(at: int, each_s: float) -> None:
        if (sizes := here.did(*stretches[at])) is not None:
            rates.learn(sizes, each_s)

    left_s, took_s = PROBED_S, 0.0
    for at in ladder:
        if DEARER * took_s > left_s:
            break
        each_s, took_s = _probed(job, *stretches[at])
        learn(at, each_s)
        left_s -= took_s
    for at in order.tolist():  # and more, for stretches that look alike may differ
        foreseen_s = rates.seconds(whole.anew(*stretches[at]))
        if at not in ladder and DEARER * foreseen_s < left_s:
            each_s, took_s = _probed(job, *stretches[at])
            learn(at, each_s)
            left_s -= took_s
    return rates.seconds(all_of_it) / cores


def _probed(job: Job, start: int, stop: int) -> tuple[float, float]:
    """Return the CPU time of a stretch, told by some of it where it is long, and of telling."""
    some = min(stop - start, PROBED_POSITIONS)
    first = _timed(job, start, some)
    if some == stop - start:
        return first, first
    alone, again = _timed(job, start, 1), _timed(job, start, some)  # without what the first time left behind
    more = max(again - alone, 0.0) / (some - 1) * (stop - start - some)
    return first + more, first + alone + again


def _timed(job: Job, start: int, count: int) -> float:
    began = time.process_time()
    job.work(start, start + count)
    return max(time.process_time() - began, 1e-6)
