"""The model's side of published figures: by hand where it is arithmetic, and a fit that finds what is known."""

import csv
from dataclasses import replace

import numpy as np
import pytest

from core.lifecycle.memory import memcg_percpu
from core.validation.published_memory import POINTS, _trajectory, figures, fit_churn
from tests.support.points import CONF, default_point

SETTINGS = {"cpus": int, "nodes": int, "duration_s": float, "churn_hz": float}


def point_of(overrides):
    """The point of overrides such as POINTS has, without Hydra."""
    pairs = (override.split("=") for override in overrides)
    return default_point(**{key: SETTINGS.get(key, str)(value) for key, value in pairs})


def table(name):
    """Rows of a table of conf/figures."""
    with (CONF / "figures" / f"{name}.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_a_memcgs_statistics_are_what_was_reported():
    """2424 B and 656 B per node, on each of 96 CPUs of 2 nodes, are 350.25 KiB."""
    kernel = point_of(POINTS["5.15"]).kernel
    reported = replace(kernel, structs=replace(kernel.structs, memcg_vmstats_percpu=2424, lruvec_stats_percpu=656))

    assert memcg_percpu(reported, nodes=2)["memcg_stats"] * 96 == 350.25 * 1024


@pytest.mark.slow
def test_every_figure_has_a_reference_and_every_reference_a_figure():
    """Names, kernels, CPUs, workloads and units of both sides agree."""
    points = {name: point_of(overrides) for name, overrides in POINTS.items()}
    ours = figures({"published_dying": table("published_dying")}, points)

    references = {
        (row["figure"], row["kernel"], row["cpus"] or "0", row["workload"], row["unit"])
        for row in table("figures_lifecycle")
    }

    assert {(f.figure, f.kernel, str(f.cpus), f.workload, f.unit) for f in ours} == references
    assert len(ours) == len(references)


@pytest.mark.slow
def test_the_fit_finds_the_churn_of_hosts_that_are_simulated():
    """From eight days of hosts that made 0.03 memcgs a second, and had been up for half a day, both are found again.

    The grid of the fit is 12 % wide, and its draws are others. False alarms: below 1 in 1000, by 20 repetitions.
    """
    days = np.arange(8.0)
    hosts = replace(point_of(POINTS["production"]), churn_hz=0.03, seed=7)
    dying, _ = _trajectory(replace(hosts, design="page_ref"), days + 0.5, 4)

    churn_hz, up_days = fit_churn(replace(hosts, seed=1), days, dying)

    assert churn_hz == pytest.approx(0.03, rel=0.2)
    assert up_days == pytest.approx(0.5, abs=0.3)
