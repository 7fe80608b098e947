"""An estimate is cheap, whatever the plan, and near to what the plan would take."""

from __future__ import annotations

import time
from math import log

import numpy as np
import pytest

from sweep.engine.estimate import PROBED_POSITIONS, seconds

SHARED_S, EACH_S = 5e-5, 1e-6  # per CPU of a stretch, and of each of its positions


class Plan:
    """A thousand CPU counts, each with as many positions as share its work; a stretch keeps a core busy so long."""

    grains = (1, 1000)

    def __init__(self):
        self.asked = []

    def features(self, position):
        return (log(self.cpus(position)),)

    @staticmethod
    def cpus(position):
        return 1 + position // 1000 % 1000

    def work(self, start, stop):
        self.asked.append((start, stop))
        until = time.process_time() + self.cpus(start) * (SHARED_S + EACH_S * (stop - start))
        while time.process_time() < until:
            pass


@pytest.mark.parametrize("total", [10**6, 10**8])
def test_an_estimate_is_cheap_and_near(total):
    """Of a million points and of a hundred, by a few short stretches: within a factor of three."""
    plan = Plan()
    began = time.process_time()
    told_s = seconds(plan, total, cores=2)
    true_s = total / 1000 * float(np.mean(np.arange(1, 1001))) * (SHARED_S + 1000 * EACH_S) / 2

    assert time.process_time() - began < 4
    assert max(stop - start for start, stop in plan.asked) == PROBED_POSITIONS
    assert true_s / 3 < told_s < true_s * 3
