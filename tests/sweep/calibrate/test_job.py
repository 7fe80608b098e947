"""Calibration on the machine that runs the tests: its counters, its judgement, what it writes; no time is asserted."""

import csv
from datetime import UTC, datetime

import numpy as np
import pytest
import yaml

from core.host import Host
from core.prices.lines import transfer_ns
from sweep.calibrate import atomics, job, loops
from sweep.calibrate.bursts import Bench, Round, Series
from sweep.calibrate.pricing import Node, price_table
from sweep.calibrate.topology import Cpu, distance, parse_cpulist, usable_cpus
from sweep.config import hosts
from sweep.config.options import option
from sweep.config.records import build

CPUS = usable_cpus()
BURSTS = 3
MACHINE = {"model": "test", "type": "x/1", "kernel": "6.1", "llvm": "20", "virtual": "False", "architecture": "x86_64"}
needs_two = pytest.mark.skipif(len(CPUS) < 2, reason="one CPU shares nothing")


@pytest.fixture(scope="module")
def bench():
    """Threads on the CPUs of this process."""
    with_threads = Bench(CPUS)
    yield with_threads
    with_threads.close()


def every_loop():
    """Return every series that can be measured here."""
    alone = [*loops.single(CPUS[0]), *loops.shapes(CPUS[:1])]
    if len(CPUS) < 2:
        return alone[:-1]
    two = CPUS[:2]
    return [*alone[:-1], *loops.pair(two, None), loops.hammer(two), *loops.pressure(two), *loops.shapes(two)]


@pytest.mark.parametrize("each", every_loop(), ids=lambda each: f"{each.name}-{len(each.cpus)}-{each.setting}")
def test_counters_say_what_was_done(bench, each):
    """Whatever the scheduler does, no update is lost but in the control, whose race two CPUs lose."""
    bench.prepare(each)
    each.turns = 2000 if each.role == "control" else 20  # a race needs its time
    for _ in range(20 if each.role == "control" else BURSTS):
        bench._run(each, BURSTS)

    assert each.verified


@needs_two
def test_a_lost_update_is_seen(bench):
    """A check for all updates fails on the racy loop: the counters can tell."""
    two = CPUS[:2]
    racy = Series("racy", atomics.plain_add, two, [[0], [0]], lambda w, done: w[0, 0] == 2 * done)
    bench.prepare(racy)
    racy.turns = 100_000
    bench._run(racy, 20)

    assert not racy.verified


def test_the_clock_agrees_with_the_system(bench):
    """A second reading of the counter's frequency is within 1 % of the first."""
    assert bench._clock(CPUS[0]) == pytest.approx(bench.ns_per_cycle, rel=0.01)


def planned(*rounds):
    """Return a series of two CPUs with some rounds, as the only one planned."""
    two = Cpu(0, 0, -1, 0, 0), Cpu(0, 0, -1, 1, 1)
    each = Series("hammer", atomics.walk, two, [[0], [0]], lambda _w, _done: True)
    each.words, each.rounds = np.zeros((1, 1), np.int64), [Round(*values) for values in rounds]
    return each, [("socket", each)]


def test_rounds_of_another_place_do_not_count():
    """Of five rounds one was measured 100 ns apart and one while a CPU moved: the median is of the other three."""
    stay = [(10.0, 20, 30.0, 30.0), (11.0, 20, 31.0, 30.0), (12.0, 20, 29.0, 30.0)]
    each, plan = planned(*stay, (50.0, 20, 100.0, 100.0), (70.0, 20, 30.0, 100.0))
    found, _, ns, _ = job._settled(each, plan)

    assert (found, sorted(ns)) == (3, [10.0, 11.0, 12.0])


def test_too_few_rounds_give_no_figure():
    """Two rounds are no measurement: the row has no ns and says why."""
    row = job._row("socket", *planned(*[(10.0, 20, 30.0, 30.0)] * 2))

    assert row["ns"] is None
    assert "2 of 2 rounds" in row["unreliable"]


def test_rounds_that_disagree_are_unreliable():
    """Half of the rounds at 10 ns and half at 20: a figure, and the reason not to trust it."""
    rounds = [(ns, 20, 30.0, 30.0) for ns in (10.0, 20.0) * 5]
    row = job._row("socket", *planned(*rounds))

    assert "rounds disagree" in row["unreliable"]


def test_wrong_counters_give_no_figure():
    """A series whose check fails has measured something else."""
    each, plan = planned(*[(10.0, 20, 30.0, 30.0)] * 9)
    each.check = lambda _w, _done: False
    row = job._row("socket", each, plan)

    assert (row["ns"], row["verified"]) == (None, False)


def row(name, threads, ns, pair="socket", setting=0, role="fit"):
    """Return a row as calibration makes it."""
    return {
        "series": name, "threads": threads, "ns": ns, "pair": "alone" if threads == 1 else pair, "setting": setting,
        "role": role, "verified": True, "unreliable": None if ns else "busy",
    }  # fmt: skip


def rows(**ns):
    """Return the rows that a price table of two CPUs is made from, some with another time."""
    alone = {"percpu_ref": 1.0, "list_push": 3.0, "add": 2.0, "xadd": 2.0}
    pair = {"ping_pong": 25.0, "chase": 30.0, "gather": 5.0, "hammer": 9.1}
    found = [row(name, 1, ns.get(name, value)) for name, value in alone.items()]
    return found + [row(name, 2, ns.get(name, value)) for name, value in pair.items()]


def test_another_figure_than_last_time_is_a_doubt():
    """16 % more than in the run before is said, 14 % is not."""
    before = {("xadd", 1): 2.0, ("hammer", 2): 9.1}

    assert list(job._doubts(rows(xadd=2.28), before)) == []
    assert list(job._doubts(rows(xadd=2.32), before)) == ["xadd of 1: 2.32 ns, 2 ns last time"]


def test_a_lost_price_is_a_doubt():
    """A series of role fit without a figure is named with its reason."""
    assert list(job._doubts(rows(chase=None), {})) == ["1 series of role fit have no figure; chase: busy"]


def table(cpus, measured, preset="epyc_milan_2s48", **machine):
    """Return the price table of some CPUs as a mapping, and as the host that it makes with its base."""
    node = Node("test", cpus, MACHINE | machine, preset)
    found = yaml.safe_load(price_table(node, measured, [], datetime(2026, 1, 1, tzinfo=UTC)))
    merged = option("host", found["defaults"][0]) | found
    merged.pop("defaults")
    return found, build(Host, merged)


def test_a_table_holds_what_was_measured():
    """Two cores: dependent miss 30, t_local 2, a percpu get and put 1 ns; the host can be built and priced."""
    found, machine = table([Cpu(0, 0, -1, 0, 0), Cpu(0, 0, -1, 1, 1)], rows())

    assert (machine.t_plain_ns, machine.t_local_ns, machine.transfer_ns.socket) == (0.5, 2.0, 30.0)
    assert (machine.sockets, machine.cores_per_socket, machine.grade) == (1, 2, "measured")
    assert transfer_ns(machine, machine.far_weight)[2] == 30.0
    assert found["defaults"] == ["epyc_milan_2s48", "_self_"]


def test_threads_sold_as_cores_are_threads():
    """Two CPUs of a virtual machine 9 ns apart are one core, whatever /sys says."""
    _, machine = table([Cpu(0, 0, -1, 0, 0), Cpu(0, 0, -1, 1, 1)], rows(chase=9.0), virtual="True")

    assert (machine.cores_per_socket, machine.threads_per_core, machine.transfer_ns.smt) == (1, 2, 9.0)
    assert transfer_ns(machine, 1.0)[2] == 9.0


def test_one_cpu_borrows_what_it_cannot_measure():
    """Its own prices are measured, all that is shared is the nearest preset's."""
    found, machine = table([Cpu(0, 0, -1, 0, 0)], rows()[:4], "graviton2_16v")

    assert found["defaults"] == ["graviton2_16v", "_self_"]
    assert (machine.t_local_ns, machine.far_service_ns) == (2.0, 9.4)


def test_what_was_not_measured_is_the_presets():
    """On a machine too busy for any figure the table is the nearest preset's, with the machine's own topology."""
    nothing = [each | {"ns": None} for each in rows()]
    _, machine = table([Cpu(0, 0, -1, 0, 0), Cpu(0, 0, -1, 1, 1)], nothing)

    assert (machine.t_local_ns, machine.transfer_ns.l3, machine.cores_per_socket) == (2.5, 22.7, 2)


def test_classes_of_pairs():
    """Threads of a core, cores of an L3 group, of a socket that has several or one, and of two sockets."""
    a = Cpu(socket=0, node=0, l3=0, core=0, cpu=0)

    assert distance(a, Cpu(0, 0, 0, 0, 1)) == "smt"
    assert distance(a, Cpu(0, 0, 0, 1, 2)) == "l3"
    assert distance(a, Cpu(0, 0, 8, 8, 8)) == "socket"
    assert distance(Cpu(0, 0, -1, 0, 0), Cpu(0, 0, -1, 1, 1)) == "socket"
    assert distance(a, Cpu(1, 1, 0, 0, 16)) == "cross"


def test_cpu_lists():
    """The format of /sys: spans and single CPUs."""
    assert parse_cpulist("0-2,8\n") == {0, 1, 2, 8}


def test_calibrated_without_a_measurement_ends_with_the_way_out(tmp_path, monkeypatch, capsys):
    """host=calibrated on a node that was never measured: one line, status 2."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    with pytest.raises(SystemExit) as end:
        hosts._calibrated()

    assert end.value.code == 2
    assert "run python -m sweep +experiment=calibrate first" in capsys.readouterr().err


@pytest.mark.slow
def test_a_measurement_is_kept_and_found(tmp_path, monkeypatch):
    """A short calibration leaves a table and rows, with verified counters, that host=calibrated and validate find."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    monkeypatch.setattr(job, "BUDGET_S", 3.0)
    tables = job.job({}).work(0, 1)

    assert hosts._calibrated() == f"/host/{hosts.name()}"
    assert all(tables["calibration"]["verified"].to_pylist())
    with hosts.rows_path().open() as file:
        assert len(list(csv.DictReader(file))) == tables["calibration"].num_rows
