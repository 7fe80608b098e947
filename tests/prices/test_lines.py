"""Lines: placement and hand-overs by hand, the queue against theory and against a simulation of the same network."""

from itertools import pairwise

import numpy as np
import pytest
import simpy
from hypothesis import given
from hypothesis import strategies as st

from core.prices.lines import MAX_CPUS, Stations, hammer_ns, queue, ticket_ns, transfer_ns, turn_ns
from tests.support.hosts import host


def stations(visits, service, idle=None, retry=0.0, lines=1.0):
    """Return stations of one network, classes in a list."""
    visits, service = (np.array(values, float)[:, None] for values in (visits, service))
    one = np.ones_like(service)
    idle = service if idle is None else np.array(idle, float)[:, None]
    return Stations(visits, lines * one, idle, service, retry * one)


def cycle(cpus, think, network, variability=0.0):
    """Return the time of one cycle of a network, ns."""
    visit = queue(np.array([cpus]), np.array([float(think)]), network, variability)
    return think + float((network.visits * visit).sum())


def test_two_cores_of_one_l3_are_one_transfer_apart():
    """CPUs 0 and 1 share an L3 group, so the only pair costs its 20 ns."""
    assert transfer_ns(host(), 1.0)[2] == 20.0


def test_four_cores_of_two_l3_groups_average_over_six_pairs():
    """Two pairs inside a group at 20 ns, four across at 100 ns: (2 * 20 + 4 * 100) / 6."""
    assert transfer_ns(host(), 1.0)[4] == pytest.approx(440 / 6)


def test_far_hand_offs_count_by_their_weight():
    """With weight 0.25 the four far pairs count as one: (2 * 20 + 1 * 100) / 3."""
    assert transfer_ns(host(), 0.25)[4] == pytest.approx(140 / 3)


def test_a_home_elsewhere_is_met_on_half_of_two_sockets():
    """On two full sockets a socket pair costs 100 or 300 ns, half the time each; only l3 pairs stay as they were."""
    prices = transfer_ns(host(transfer_ns={"socket_far_home": 300.0}), 1.0)

    # 4 cores a socket: 2 l3 pairs, 4 socket pairs each, 16 pairs across; half of the socket's were counted alone on it
    assert prices[4] == pytest.approx(440 / 6)
    assert prices[8] > transfer_ns(host(), 1.0)[8]


def test_second_threads_share_the_place_of_their_core():
    """8 cores and 16 threads: the second threads add no distance."""
    prices = transfer_ns(host(), 1.0)

    assert prices[16] == prices[8]


def test_more_cpus_than_the_host_has_sit_on_further_sockets():
    """A 17th CPU is in a third socket, across from all others, so the mean rises."""
    prices = transfer_ns(host(), 1.0)

    assert prices[17] > prices[16]


@given(
    l3=st.floats(1, 100),
    more=st.floats(0, 200),
    most=st.floats(0, 300),
    weight=st.floats(0.01, 1),
    sockets=st.integers(1, 8),
)
def test_a_hand_over_never_gets_cheaper_with_more_cpus(l3, more, most, weight, sockets):
    """Transfer times rise in the number of CPUs and in the weight of far hand-offs."""
    machine = host(
        sockets=sockets,
        far_weight=weight,
        transfer_ns={"l3": l3, "socket": l3 + more, "cross": l3 + more + most},
    )
    prices = transfer_ns(machine, weight)

    assert len(prices) == MAX_CPUS + 1
    assert (np.diff(prices) >= 0).all()
    assert (prices <= transfer_ns(machine, 1.0) * (1 + 1e-12)).all()


def test_an_owner_runs_several_operations_per_turn():
    """t_local 5, hand-over 95, hold 5: two operations a turn of 100 ns, so 50 ns each; 100 CPUs wait 100 times that."""
    turn = turn_ns(5.0, 95.0, 5.0)

    assert turn == 50.0
    assert hammer_ns(np.array([1.0, 100.0]), turn).tolist() == [50.0, 5000.0]


def test_a_ticket_lock_pays_for_half_of_its_waiters():
    """Section 100 ns, 20 ns a waiter, 5 CPUs: 100 + 20 * 4 / 2 = 140 ns a section, 700 ns for each CPU's turn."""
    assert ticket_ns(np.array([5.0]), 100.0, 20.0).tolist() == [700.0]


def test_one_cpu_does_not_queue():
    """N = 1: a visit takes its idle time."""
    assert cycle(1, 100, stations([2.0], [30.0])) == 160.0


def test_two_cpus_at_one_line_of_exponential_service():
    """Z = 0, S = 1: both are always there, so a visit takes 2; exact mean value analysis."""
    assert cycle(2, 0, stations([1.0], [1.0]), variability=1.0) == 2.0


def test_two_cpus_with_think_time_of_exponential_service():
    """Z = S = 1: with one CPU Q = 1/2, so the second finds half a CPU and R = 1.5."""
    assert cycle(2, 1, stations([1.0], [1.0]), variability=1.0) == 2.5


def test_a_constant_hand_over_halves_the_wait_for_who_is_in_service():
    """Z = S = 1: with one CPU U = Q = 1/2, so R = 1 + 1/2 - 1/4."""
    assert cycle(2, 1, stations([1.0], [1.0])) == 2.25


def test_the_knee_is_where_the_busiest_line_has_no_idle_time():
    """Z = 90, S = 10: from N* = 10 on the line is saturated; at N = 1000 the cycle is N S."""
    assert cycle(1000, 90, stations([1.0], [10.0])) == pytest.approx(10_000)


def test_equal_lines_share_the_visits():
    """Two lines, each visited every other time, hold twice as much as one: at N = 1000 the cycle is N S / 2."""
    assert cycle(1000, 0, stations([1.0], [10.0], lines=2.0)) == pytest.approx(5000)


def test_retries_grow_with_who_waits():
    """LL/SC at Z = 0: S(N) = s0 + s1 (N - 1), so 4 CPUs take 4 (10 + 3 * 2) = 64 ns."""
    assert cycle(4, 0, stations([1.0], [10.0], retry=2.0)) == pytest.approx(64.0)


NETWORKS = st.lists(st.tuples(st.floats(0.1, 4), st.floats(1, 100)), min_size=1, max_size=4)


@given(network=NETWORKS, think=st.floats(0, 1000), variability=st.floats(0, 1))
def test_waiting_only_grows_with_cpus(network, think, variability):
    """More CPUs never make a cycle shorter, nor longer than N times what one CPU needs."""
    visits, service = zip(*network, strict=True)
    cycles = [cycle(n, think, stations(visits, service), variability) for n in (1, 2, 3, 5, 9, 40)]

    assert all(a <= b * (1 + 1e-9) for a, b in pairwise(cycles))
    assert cycles[-1] <= 40 * cycles[0] * (1 + 1e-9)


@given(network=NETWORKS, think=st.floats(0, 1000), cpus=st.integers(1, 60))
def test_no_line_serves_more_than_it_can(network, think, cpus):
    """Throughput is at most that of the busiest line, and at most that of CPUs that never wait."""
    visits, service = zip(*network, strict=True)
    rate = cpus / cycle(cpus, think, stations(visits, service))
    demands = [v * s for v, s in network]

    assert rate <= (1 + 1e-9) / max(demands)
    assert rate <= (1 + 1e-9) * cpus / (think + sum(demands))


@given(cpus=st.lists(st.integers(1, 50), min_size=2, max_size=8), seed=st.integers(0, 99))
def test_a_network_does_not_depend_on_its_neighbours(cpus, seed):
    """Networks of one call get the bits that each gets alone."""
    rng = np.random.default_rng(seed)
    size, numbers = len(cpus), np.array(cpus)
    visits, lines, service = rng.random((5, size)), 1 + rng.random((5, size)), 10 * rng.random((5, size))
    think = 100 * rng.random(size)
    together = queue(numbers, think, Stations(visits, lines, service, service, 0 * service), 0.0)
    for i in range(size):
        one = np.s_[:, i : i + 1]
        alone = Stations(visits[one], lines[one], service[one], service[one], 0 * service[one])
        assert queue(numbers[i : i + 1], think[i : i + 1], alone, 0.0).tobytes() == together[one].tobytes()


def simulated_rate(cpus, think, services, cycles, draw):
    """Return cycles per ns of CPUs that think and then visit every line in turn, first come first served."""
    env = simpy.Environment()
    lines = [simpy.Resource(env) for _ in services]
    done = []

    def cpu():
        while True:
            yield env.timeout(draw.exponential(think))
            for line, service in zip(lines, services, strict=True):
                with line.request() as mine:
                    yield mine
                    yield env.timeout(draw.exponential(service))
            done.append(env.now)

    for _ in range(cpus):
        env.process(cpu())
    while len(done) < cycles:
        env.step()
    warm = cycles // 10
    return (cycles - warm) / (done[-1] - done[warm - 1])


@pytest.mark.slow
@pytest.mark.parametrize(("cpus", "think"), [(2, 50.0), (6, 200.0), (12, 200.0)])
def test_queue_meets_a_simulation_of_the_same_network(cpus, think):
    """Exponential think and service: exact MVA within 4 standard errors of ten runs; false alarms about 3 in 1,000."""
    services = [20.0, 10.0]
    rates = [simulated_rate(cpus, think, services, 4000, np.random.default_rng(seed)) for seed in range(10)]
    model = cpus / cycle(cpus, think, stations([1.0, 1.0], services), variability=1.0)
    error = np.std(rates, ddof=1) / np.sqrt(len(rates))

    assert abs(np.mean(rates) - model) < 4 * error
