"""Fits give back the constants that made the curve, and look at no other row."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.prices.fit import (
    LoopPrices,
    executor,
    hold_and_weight,
    hold_ns,
    loop_prices,
    paced_ns,
    rows_of_pair,
    shapes_ns,
)
from core.prices.lines import hammer_ns, transfer_ns, turn_ns
from tests.support.hosts import host

PRICES = LoopPrices(percpu=0.5, local=2.0, hand_over=30.0, overlapped=5.0, hold=20.0)


@given(local=st.floats(1, 10), hand_over=st.floats(10, 300), hold=st.floats(0.5, 200))
def test_hold_is_found_again(local, hand_over, hold):
    """Loops made by the model have the hold that they were made with, to the step of the grid."""
    think = np.array([0.0, 5.0, 20.0, 80.0])
    found = hold_ns(local, hand_over, think, paced_ns(local, hand_over, hold, think))

    assert paced_ns(local, hand_over, found, think) == pytest.approx(paced_ns(local, hand_over, hold, think), rel=0.05)


def test_hold_and_weight_are_found_again():
    """A curve over two sockets gives h and phi back to the step of the grids."""
    machine = host(transfer_ns={"l3": None, "socket": 50.0}, cores_per_l3=4)
    cpus = np.arange(2.0, 9.0)
    curve = hammer_ns(cpus, turn_ns(10.0, transfer_ns(machine, 0.1)[cpus.astype(int)], 7.0))
    found = hold_and_weight(machine, cpus, curve)

    assert found.hold_ns == pytest.approx(7.0, rel=0.05)
    assert found.far_weight == pytest.approx(0.1, rel=0.1)


def test_a_flat_service_time_is_executed_at_home():
    """T = 9 N: kind far."""
    assert executor(np.array([1.0, 2, 4, 8]), np.array([5.0, 18, 36, 72])) == {"kind": "far", "far_service_ns": 9.0}


def test_a_rising_service_time_is_a_retry_loop():
    """T = N (10 + 2 (N - 1)): kind llsc with both constants."""
    cpus = np.array([1.0, 2, 4, 8])
    found = executor(cpus, cpus * (10 + 2 * (cpus - 1)))

    assert found == {"kind": "llsc", "llsc_base_ns": 10.0, "llsc_retry_ns": 2.0}


def test_shapes_by_hand():
    """A further line waits for half a hold, 10 ns: two lines alternate at 40 ns, or 3.5 walks share a turn of 55 ns."""
    shapes = shapes_ns(PRICES)

    assert shapes["walk", 2] == pytest.approx(min(40.0, 2 * 55 / (1 + 10 / 4)))
    assert shapes["reference", 0] == pytest.approx(2 * 2 * 50 / 11)
    assert shapes["percpu_ref", 0] == 1.0
    assert shapes["stock", 64] == pytest.approx((32 + 30 + 20) / 64)


def rows():
    """Return rows of calibration as text, as a CSV file has them."""
    fit = {("percpu_ref", 1, 0): 1.0, ("add", 1, 0): 2.0, ("xadd", 1, 0): 2.0, ("think", 1, 5): 7.0}
    fit |= {("chase", 2, 0): 30.0, ("gather", 2, 0): 5.0, ("hammer", 2, 0): 9.1, ("think", 2, 5): 22.0}
    pair = {1: "alone", 2: "socket"}
    return [
        {"series": series, "threads": str(n), "setting": str(setting), "pair": pair[n], "ns": str(ns)}
        for (series, n, setting), ns in fit.items()
    ]


def test_shape_rows_do_not_move_the_constants():
    """The loops that the model has to predict may be anything: the fit is the same."""
    shape = {"series": "walk", "threads": "2", "setting": "3", "pair": "socket", "ns": "1e9"}

    assert loop_prices(rows_of_pair([*rows(), shape])) == loop_prices(rows_of_pair(rows()))


def test_a_pair_that_was_not_measured_gives_no_constants():
    """Without a hammer of two CPUs, as on a node of one, there is nothing to fit."""
    assert rows_of_pair([row for row in rows() if row["threads"] == "1"]) is None


def test_a_host_is_not_changed_by_its_fit():
    """Only hold_ns and far_weight differ."""
    machine = host()
    found = hold_and_weight(machine, np.array([2.0, 4.0]), np.array([40.0, 300.0]))

    assert replace(found, hold_ns=machine.hold_ns, far_weight=machine.far_weight) == machine
