"""A day of a host's memcgs, beside the same host event by event: on a heap, and as SimPy's processes."""

from __future__ import annotations

from math import exp
from random import Random

import numpy as np
import pytest
import simpy
from scipy.special import stdtrit

from core.lifecycle.leftovers import DYING
from core.lifecycle.pinning import pin
from tests.reference.lifecycle import Host
from tests.support.contest import timed
from tests.support.points import default_point
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


CHURNS_HZ, CPUS = np.geomspace(0.01, 10, 13).tolist(), (8, 16, 32, 64, 128, 256)
DENSE_HZ = 0.99  # up from here a life is dearer than one without a memcg
DRAWS = 5


def exponent(at, seconds):
    """The power of `at` that seconds go with, and half of its 95 % interval: a line through the logarithms."""
    x, y = (np.log(np.asarray(each, float)) for each in (at, seconds))
    slope, rest = np.polyfit(x, y, 1)
    degrees = x.size - 2
    error = np.sqrt(((y - slope * x - rest) ** 2).sum() / degrees / ((x - x.mean()) ** 2).sum())
    return float(slope), float(stdtrit(degrees, 0.975) * error)


def life_s(churn_hz, cpus):
    """CPU-seconds of a day of the default workload: populating and pinning, the least of some draws."""
    point = default_point(design="page_ref", churn_hz=churn_hz, cpus=cpus, duration_s=DAY_S)

    def life():
        pin(*drawn(point))

    life()
    return min(timed(life) for _ in range(DRAWS))


def test_cost_against_churn_and_cpus(capsys):
    """What a life costs grows no faster than its memcgs, and hardly with the CPUs: exponents, and their intervals."""
    by_churn = {churn_hz: life_s(churn_hz, 64) for churn_hz in CHURNS_HZ}
    by_cpus = {cpus: life_s(1.0, cpus) for cpus in CPUS}
    few, many = ([each for each in CHURNS_HZ if (each < DENSE_HZ) is sparse] for sparse in (True, False))
    found = {
        f"churn, {few[0]:.2g} to {few[-1]:.2g} Hz at 64 CPUs": exponent(few, [by_churn[each] for each in few]),
        f"churn, {many[0]:.2g} to {many[-1]:.2g} Hz at 64 CPUs": exponent(many, [by_churn[each] for each in many]),
        f"CPUs, {CPUS[0]} to {CPUS[-1]} at 1 Hz": exponent(CPUS, list(by_cpus.values())),
    }
    with capsys.disabled():
        print("\na life of a day, CPU-ms:")
        for what, seconds in (("Hz", by_churn), ("CPUs", by_cpus)):
            print("  " + ", ".join(f"{at:.3g} {what} {1e3 * each:.1f}" for at, each in seconds.items()))
        for what, (power, half) in found.items():
            print(f"  exponent of {what}: {power:.2f} +- {half:.2f}")

    assert [power < most for (power, _), most in zip(found.values(), (0.5, 1.0, 0.5), strict=True)] == [True] * 3
