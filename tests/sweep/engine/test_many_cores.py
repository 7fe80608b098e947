"""The loop on clusters that nobody has here: tasks take virtual time, and all else is the engine's own."""

from dataclasses import dataclass

import hydra
import pytest

from sweep.asked import load_option
from sweep.config import detect, hosts, kernels, schema
from sweep.engine.cut import Cutter
from sweep.engine.ranges import Ranges
from sweep.engine.rates import Remaining
from sweep.jobs.simulation import Simulation
from sweep.plan import planner
from tests.support import CONF
from tests.support.virtual import POLICY, Churn, Virtual, driven


@pytest.fixture(scope="module")
def churn():
    """The plan of the main job."""
    for module in (schema, detect, hosts, kernels):
        module.register()
    with hydra.initialize_config_dir(str(CONF), version_base="1.3"):
        config = hydra.compose("config", ["+experiment=churn"])
    return planner.plan(config, load_option)


@dataclass(frozen=True)
class Long:
    """A plan of scenarios of `grain` points, of which the last ones take `steep` times as long as the first."""

    length: int
    grain: int = 400
    steep: float = 20.0
    tables = ("points",)
    inputs = ""
    per_node = False

    @property
    def grains(self):
        """A machine's points, and a scenario's."""
        return (1, self.grain // 10, self.grain)

    def count(self):
        """All positions are points."""
        return self.length

    def positions(self, _nodes):
        """Return the length."""
        return self.length

    def features(self, position):
        """How far into the plan a position is."""
        return (position / self.length,)

    def settings(self, position):
        """Return the position."""
        return {"position": position}

    def seconds(self, task, _worker):
        """What machines and points of a task take, a machine as much as 100 of its points."""
        middle = (task.start + task.stop) / 2 / self.length
        machines = (task.stop - 1) // (self.grain // 10) - task.start // (self.grain // 10) + 1
        return (0.1 * machines + 0.001 * (task.stop - task.start)) * self.steep**middle


@pytest.mark.parametrize(("cores", "least"), [(2, 0.95), (16, 0.9), (64, 0.8)])
def test_churn_keeps_cores_busy_to_the_end(churn, cores, least):
    """Costs are foreseen before the first task ends, and all cores end nearly together."""
    on = driven(Simulation(churn), churn.positions, Virtual(cores, Churn(churn).seconds))

    assert on.outcome.rows == churn.positions
    assert on.efficiency >= least


def test_workers_stay_in_their_realisations(churn):
    """Two workers begin in one each, and share none but the third: another's streams would have to be drawn again."""
    job, seen = Simulation(churn), set()

    class Watched(Churn):
        def seconds(self, task, worker):
            seen.add((worker, task.start // job.region))
            return super().seconds(task, worker)

    driven(job, churn.positions, Virtual(2, Watched(churn).seconds))

    assert job.region * 3 == churn.positions
    assert len(seen) == 4


def test_a_task_waits_for_each_core_where_there_is_one_realisation(churn):
    """Workers that stay where they are have none that waits; in the only realisation they stay anyway."""
    job = Simulation(churn)
    at_once = [
        Cutter(job, Ranges([(0, stop)]), Remaining(job, 2), POLICY).in_flight for stop in (churn.positions, job.region)
    ]

    assert at_once == [1, 2]


def test_two_cores_do_little_twice(churn):
    """What two cores do in all is less than a tenth more than one does: each stays in a realisation of its own."""
    one, two = (driven(Simulation(churn), churn.positions, Virtual(cores, Churn(churn).seconds)) for cores in (1, 2))

    assert two.work_s < 1.1 * one.work_s


def test_a_million_points_keep_a_thousand_cores_busy():
    """A plan of a million points, the last ones 20 times as dear, on a thousand cores."""
    job = Long(1_000_000)
    on = driven(job, job.length, Virtual(1000, job.seconds))

    assert on.outcome.rows == job.length
    assert on.efficiency >= 0.8


def test_workers_that_die_or_lag_cost_what_they_cost():
    """With one task in a hundred lost and one worker in a hundred four times as slow, every point lands once."""
    job = Long(400_000)
    on = driven(job, job.length, Virtual(200, job.seconds, lost=0.01, slow=0.01))

    assert on.outcome.rows == job.length
    assert not on.outcome.failed
    assert on.efficiency >= 0.7
