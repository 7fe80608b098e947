"""What a live kernel's accounting costs, kept for the price table of its node."""

import platform

import pytest
from omegaconf import OmegaConf

from sweep.calibrate.kernel_path import keep_path_price, price_line, with_path_price
from sweep.config import hosts
from tests.support.points import default_point

TABLE = {"name": "test", "source": "calibrate", "t_local_ns": 4.0}


@pytest.fixture(autouse=True)
def own_data(monkeypatch, tmp_path):
    """Measurements go to a folder of the test's own."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))


def costs(*accounted, unaccounted=1000.0):
    """Return rows of a pipe's cost on one CPU, by round, and one on two that does not count."""
    row = {"operation": "pipe", "objects": 6, "unaccounted_ns": unaccounted}
    found = [row | {"processes": 1, "accounted_ns": ns} for ns in accounted]
    return [*found, row | {"processes": 2, "accounted_ns": 9e9}]


def test_a_price_goes_into_the_table_of_the_node_at_once_and_into_the_next_one(profile_of):
    """The median round counts; a table that was there has it, and says where it is from, however often."""
    hosts.table_path().parent.mkdir(parents=True)
    hosts.table_path().write_text(OmegaConf.to_yaml(TABLE))
    for _ in range(2):
        keep_path_price(costs(1500.0, 1600.0, 90_000.0), default_point(kernel=profile_of("linux-6.1")))

    table = OmegaConf.to_container(OmegaConf.load(hosts.table_path()))
    assert table["byte_stock_ns"] > 0
    assert table["source"].count("kernel path: byte_stock_ns by backend=live") == 1
    assert "pipe, 100 ns an object" in table["source"]
    assert with_path_price(TABLE) == table
    assert price_line().startswith(f"host=calibrated has byte_stock_ns = {table['byte_stock_ns']} ns")


def test_nothing_to_compare_with_keeps_nothing(profile_of):
    """Without a root cgroup of one's own there is no price, and a table stays as it is."""
    keep_path_price(costs(1600.0, unaccounted=None), default_point(kernel=profile_of("linux-6.1")))

    assert with_path_price(TABLE) == TABLE
    assert "no price of the kernel's path" in price_line()


def test_a_price_is_of_the_kernel_that_runs(profile_of, monkeypatch):
    """After another kernel was booted, what the last one cost is not taken."""
    keep_path_price(costs(1600.0), default_point(kernel=profile_of("linux-6.1")))
    monkeypatch.setattr(platform, "release", lambda: "9.9")

    assert with_path_price(TABLE) == TABLE
