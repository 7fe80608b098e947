"""Refinement by rounds: hand-worked rules, and runs that come to the same however they are stopped."""

import math

import numpy as np
import pyarrow.compute as pc
import pytest

from sweep.engine.store import Store
from sweep.jobs.crossover import half_way, half_width
from tests.support.commands import digests, folder, sweep

FEW = ("+experiment=crossover", "axes.cpus=[1,64]", "axes.batch=[1,64]", "refine.budget=60", "refine.rounds=3",
       "refine.interval=0.001", "duration_s=3600", "cluster=inline")  # fmt: skip


def test_half_width_is_students():
    """Differences 1, 2, 3: mean 2, deviation 1, t(0.975, 2) = 4.3027, so half the interval is 4.3027 / sqrt(3)."""
    assert half_width(np.array([1.0, 2.0, 3.0])) == pytest.approx(4.30265 / math.sqrt(3), rel=1e-5)
    assert half_width(np.array([1.0])) == math.inf


def test_half_way_is_geometric():
    """Between 4 and 16 lies 8; between neighbours that are close, or have no whole number between them, nothing."""
    assert half_way(4, 16, 1.2) == 8
    assert half_way(0.01, 1.0, 1.2) == 0.1
    assert half_way(7, 8, 1.2) is None
    assert half_way(1, 2, 1.2) is None


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A refined run, undisturbed."""
    return folder(sweep(*FEW, f"out={tmp_path_factory.mktemp('whole')}"))


@pytest.mark.long
def test_rounds_grow_within_the_budget(whole):
    """A run adds points after the first round, and no more than it may."""
    points = Store(str(whole)).read("points/00000.parquet")

    assert 4 * 2 * 3 < points.num_rows <= 60
    assert points.group_by("point_id").aggregate([]).num_rows == points.num_rows


@pytest.mark.long
def test_refinement_resumes(whole, tmp_path):
    """A run that was killed in the last round ends as the undisturbed one: what came later decides nothing again."""
    run = tmp_path / "crossover" / whole.name
    store = Store(str(run))
    rows, samples = (Store(str(whole)).read(f"{table}/00000.parquet") for table in ("points", "series"))
    for start in range(0, rows.num_rows - 4, 2):  # all but the last two cells, in the parts of a run that was killed
        store.write_part("series", start, start + 2, samples.filter(pc.equal(samples["scenario"], start // 2)))
        store.write_part("points", start, start + 2, rows.slice(start, 2))

    assert folder(sweep(*FEW, f"out={tmp_path}")) == run
    assert digests(run) == digests(whole)
