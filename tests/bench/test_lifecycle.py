"""A day of a host's memcgs, beside the same host event by event: on a heap, and as SimPy's processes."""

from __future__ import annotations

from math import exp
from random import Random

import pytest
import simpy

from core.lifecycle.leftovers import DYING
from core.lifecycle.pinning import pin
from tests.reference.lifecycle import Host
from tests.support.contest import timed
from tests.support.small import DAY_S, drawn, leftover, small_point

pytestmark = pytest.mark.bench
TURNOVERS_HZ = 4 / DAY_S
PRIVATE, TURNOVERS = 0.3, 1.0


def host_point(churn_hz: float):
    """A host where some memcgs leave a dentry that is reclaimed after some hours."""
    kinds = {"dentry": leftover(private=PRIVATE, private_turnovers=TURNOVERS)}
    return small_point(leftovers=kinds, load={"cache_creation_s": 0.0}, design="page_ref", churn_hz=churn_hz)


class Processes:
    """Each memcg is a process that lives, and then stays until the last of what it left is reclaimed."""

    def __init__(self, point, rng: Random) -> None:
        self.point, self.rng, self.dying = point, rng, 0
        self.environment = simpy.Environment()
        self.environment.process(self.births())
        self.environment.run(until=DAY_S)

    def births(self):
        """A Poisson stream of memcgs."""
        while True:
            yield self.environment.timeout(self.rng.expovariate(self.point.churn_hz))
            self.environment.process(self.memcg())

    def memcg(self):
        """Lives a lognormal time; is dying until nothing of it is left."""
        load = self.point.workload
        yield self.environment.timeout(
            load.lifetime_s * exp(load.lifetime_sigma * self.rng.gauss(0, 1) - load.lifetime_sigma**2 / 2)
        )
        left, chance = 0, self.rng.random()
        while chance > exp(-PRIVATE):
            chance *= self.rng.random()
            left += 1
        if left:
            self.dying += 1
            yield self.environment.timeout(max(self.rng.expovariate(TURNOVERS_HZ / TURNOVERS) for _ in range(left)))
            self.dying -= 1


@pytest.mark.parametrize("churn_hz", [0.1, 1.0])
def test_a_day_of_memcgs(compete, churn_hz):
    """The lifecycle is ahead of one event at a time, and further ahead the more memcgs there are."""
    point = host_point(churn_hz)
    population, rules = drawn(point)
    pin(population, rules)

    def ours():
        population, rules = drawn(point)
        return pin(population, rules)[0][-1, DYING]

    def heap():
        return Host(Random(1), point.workload, rules, churn_hz, TURNOVERS_HZ).at([DAY_S])[0][DYING]

    def processes():
        return Processes(point, Random(1)).dying

    rows = compete(
        f"A day at {churn_hz:g} Hz, {churn_hz * DAY_S:,.0f} memcgs",
        {
            "this project": lambda: timed(ours),
            "heapq, event by event": lambda: timed(heap),
            "SimPy, a process a memcg": lambda: timed(processes),
        },
        rounds=3,
    )
    found = {float(ours()), float(heap()), float(processes())}

    assert max(found) < 1.5 * min(found)  # one host of some hundred dying memcgs or more
    assert min(row.times for row in rows[1:]) > 1
