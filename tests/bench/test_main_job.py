"""What the main job costs."""

import json

import pytest

from tests.bench.conftest import CORES


@pytest.mark.bench
def test_the_main_job(compete, churn_run):
    """Churn on two cores of one machine: what one waits for beside its simulation on both cores and nothing else."""
    manifest = json.loads((churn_run / "manifest.json").read_text())
    compete(
        f"churn, {manifest['points']:,} points, {CORES} cores",
        {
            "whole run, compiled or not": lambda: manifest["wall_s"],
            "core-s of its tasks by cores": lambda: manifest["simulation_s"] / CORES,
        },
        rounds=1,
        unit="s",
        waited_for=False,
    )
    assert manifest["wall_s"] > 0
