"""The model's side of published curves looks at the rows of role fit, and at nothing else."""

import csv
from types import SimpleNamespace

import pytest

from core.validation.curves import POINTS, figures
from tests.support.points import CONF, default_point


@pytest.fixture(scope="module")
def points():
    """The hosts that the curves start from."""
    return {name: SimpleNamespace(host=default_point(host=name).host) for name in POINTS}


def tables():
    """Return the tables of published curves and of the calibration, as validate reads them."""
    found = {}
    for name in ("published_contention", "calibration"):
        with (CONF / "figures" / f"{name}.csv").open() as file:
            found[name] = list(csv.DictReader(file))
    return found


@pytest.fixture(scope="module")
def models(points):
    """Figures of the tables as they are, by figure, CPUs and host."""
    return {(f.figure, f.cpus, f.workload): f.model for f in figures(tables(), points)}


def test_rows_to_predict_do_not_move_the_model(points, models):
    """With every held-out time ten times as long, predictions stay what they were."""
    changed = tables()
    for row in changed["published_contention"]:
        if row["role"] == "predict":
            row["ns"] = str(10 * float(row["ns"]))
    found = {(f.figure, f.cpus, f.workload): f.model for f in figures(changed, points)}

    kept = [key for key in models if key[0] in ("fetch-add", "ticket lock")]
    assert len(kept) > 50
    assert all(found[key] == models[key] for key in kept)


def test_every_reference_has_its_model(models):
    """Each curve and shape of figures_contention.csv is found in the model's figures, under the same name."""
    with (CONF / "figures" / "figures_contention.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row["group"] == "calibration" or row["kernel"] == ""]

    assert {(row["figure"], int(row["cpus"]), row["workload"]) for row in rows} == set(models)
