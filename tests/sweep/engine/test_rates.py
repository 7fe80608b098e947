"""What is left of a run, told in virtual time: within a factor of two from a third of the run on."""

import math
from functools import partial

import numpy as np
import pytest

from sweep.engine.loop import Outcome, drive
from sweep.engine.ranges import Ranges
from sweep.engine.rates import ByFeatures, Rates, Remaining
from sweep.jobs.simulation import Simulation
from tests.support.virtual import POLICY, Churn, Virtual
from tests.sweep.engine.test_many_cores import Long, churn  # noqa: F401 (a fixture)


class Told:
    """Takes down what is told to be left, at the virtual times at which a run would say so."""

    EVERY_S = 5.0

    def __init__(self, cluster):
        self._cluster, self._next, self.lines = cluster, 0.0, []

    def advance(self, positions):
        """Nothing is shown of it."""

    def show(self, running, left_s):  # noqa: ARG002 (nothing is shown of it)
        """Take down the time, and what is left, as often as a log has a line."""
        if self._cluster.now_s >= self._next:
            self._next = self._cluster.now_s + self.EVERY_S
            self.lines.append((self._cluster.now_s, left_s()))


def told(job, positions, cluster):
    """Drive a job, and return how often what was told is what was left, from a third on, the last task left out."""
    shown = Told(cluster)
    drive(job, Ranges([(0, positions)]), cluster, POLICY, shown, Outcome())
    end_s = cluster.now_s
    return [left_s / (end_s - at_s) for at_s, left_s in shown.lines if end_s / 3 < at_s < end_s - POLICY.task_s]


@pytest.mark.parametrize("cores", [1, 2])
def test_churn_says_rightly_how_long_it_takes(churn, cores):  # noqa: F811
    """Dear tasks come first, and workers keep windows: a factor of two holds all the same from a third on."""
    ratios = told(Simulation(churn), churn.positions, Virtual(cores, Churn(churn).seconds))

    assert len(ratios) >= 3
    assert 0.5 < min(ratios) <= max(ratios) < 2


class Sized(Long):
    """A plan of hosts, the last a hundred times as large as the first: a part of their cost is the same for all."""

    def features(self, position):
        """The logarithm of a host's size."""
        return (math.log(self._size(position)),)

    def seconds(self, task, _worker):
        """What the hosts of a task take."""
        return sum(0.02 + 0.002 * self._size(position) for position in range(task.start, task.stop))

    def _size(self, position):
        return 1.0 + 99.0 * (position / self.length) ** 3


def test_a_job_that_says_no_more_than_features_is_told_rightly():
    """The last positions take ten times as long as the first, and are done first."""
    job = Sized(5_000)
    ratios = told(job, job.length, Virtual(4, job.seconds))

    assert len(ratios) >= 3
    assert 0.5 < min(ratios) <= max(ratios) < 2


def test_a_resumed_run_is_told_rightly(churn):  # noqa: F811
    """Half of the scenarios landed before, in no order: the other half is what is left."""
    job, grain = Simulation(churn), churn.grain
    cluster = Virtual(2, Churn(churn).seconds)
    shown = Told(cluster)
    todo = Ranges([(at, at + grain) for at in range(0, churn.positions, 2 * grain)])
    drive(job, todo, cluster, POLICY, shown, Outcome())
    end_s = cluster.now_s
    ratios = [left_s / (end_s - at_s) for at_s, left_s in shown.lines if end_s / 3 < at_s < end_s - POLICY.task_s]

    assert ratios
    assert 0.5 < min(ratios) <= max(ratios) < 2


def test_the_very_first_task_is_short_and_not_where_the_plan_is_dear():
    """The dear end comes first, but for one task off the other, whose cost is known within a fraction of a second."""
    job = Sized(5_000)
    cluster = Virtual(4, job.seconds)
    handed, submit = [], cluster.submit
    cluster.submit = lambda task: (handed.append(task), submit(task))
    drive(job, Ranges([(0, job.length)]), cluster, POLICY, Told(cluster), Outcome())

    assert handed[0].start == 0
    assert job.seconds(handed[0], 0) < 4
    assert [task.stop for task in handed[1:3]] == [5_000, handed[1].start]


def test_what_a_workers_first_task_loads_is_no_price_of_work(churn):  # noqa: F811
    """Measured prices are not changed by it; a job that has none takes what it gets."""
    known, unknown = Remaining(Simulation(churn), 2), Remaining(Sized(5_000), 2)
    before = known.task_s(0, 40), unknown.task_s(0, 40)
    known.learn(40, 80, 1000.0, fresh=True)
    unknown.learn(40, 80, 1000.0, fresh=True)

    assert known.knows
    assert known.task_s(0, 40) <= before[0]
    assert unknown.task_s(0, 40) > 100 * before[1]


def test_a_part_of_a_machine_takes_what_its_designs_ask(churn):  # noqa: F811
    """Hand-worked: a window is drawn once, a fifth of its cost; of five designs, one replays a fifth of the rest."""
    machine, design = (Simulation(churn).outlook(2).foreseen(320, stop)[2] for stop in (360, 328))

    assert design == pytest.approx((0.2 + 0.8 / 5) * machine)


def test_prices_are_found_by_stretches_of_different_make():
    """Hand-worked: two seconds a unit of one part and three of the other, whatever was assumed of them."""
    rates = Rates(np.array([1.0, 100.0]))
    for sizes in ([1, 0], [0, 1], [4, 1], [1, 6]):
        rates.learn(np.array(sizes, float), 2 * sizes[0] + 3 * sizes[1])

    assert rates.seconds(np.array([10.0, 10.0])) == pytest.approx(50, rel=0.1)


def test_ratios_that_nothing_is_learned_of_stay_as_assumed():
    """One kind of stretch cannot tell its parts apart: they keep their ratio, and their sum is what was measured."""
    rates = Rates(np.array([1.0, 3.0]))
    for _ in range(5):
        rates.learn(np.array([1.0, 1.0]), 8.0)

    assert rates.seconds(np.array([1.0, 0.0])) == pytest.approx(2)
    assert rates.seconds(np.array([0.0, 1.0])) == pytest.approx(6)


def test_the_parts_of_all_are_the_sum_of_those_of_stretches():
    """Whether asked at once or piece by piece, where the features change along the plan."""
    outlook = ByFeatures(Long(1000))
    pieces = sum(outlook.left(Ranges([(at, at + 100)])) for at in range(0, 1000, 100))

    assert outlook.left(Ranges([(0, 1000)])) == pytest.approx(pieces, rel=0.01)
    assert outlook.did(0, 1000) == pytest.approx(pieces, rel=0.01)


def test_a_window_counts_once_for_the_worker_that_keeps_it(churn):  # noqa: F811
    """On one core the windows of a plan are replayed once each; what is done of them is not left."""
    looked = partial(Simulation(churn).outlook, 1)
    whole = looked().left(Ranges([(0, churn.positions)]))
    half = looked()
    did = half.did(0, churn.positions // 2)

    assert did + half.left(Ranges([(churn.positions // 2, churn.positions)])) == pytest.approx(whole)
    assert half.left(Ranges([(0, churn.positions // 2)]))[2] == 0
