"""Every mean that anybody sees has its interval, and a chart draws what its sentence speaks of."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from analysis.answers import answers
from analysis.charts import charts
from analysis.held import holding
from analysis.measures import MEASURES
from analysis.run import open_run
from analysis.sheets import Estimate, Shown, sheets
from core.simulate import COLUMNS

DESIGNS = ("page_ref", "reparent_atomic", "reparent_percpu", "objcg")
FLOATS = [name for name, column in COLUMNS.items() if column.dtype == "float64"]
NOISY = [name for name in COLUMNS if name in MEASURES or name.startswith(("memory_bytes_dead_", "ns_per_"))]
COUNTS = (
    "page_charges",
    "page_uncharges",
    "counter_atomics",
    "refcount_atomics",
    "lock_acquisitions",
    "shared_atomics",
)


def points(replicates):
    """Return rows of a sweep over all axes and two kernels, every figure with noise."""
    rng = np.random.default_rng(1)
    grid = product(("linux-5.2", "linux-6.1"), DESIGNS, (8, 64), (32, 64), (0.01, 0.1), range(replicates))
    return [
        {"kernel": kernel, "design": design, "cpus": cpus, "batch": batch, "churn_hz": churn, "replicate": n,
         "scenario_id": f"{churn} {n}", "life_id": f"{kernel}{design}{cpus}{churn}{n}", "host_prices": "milan"}
        | {name: float(rng.uniform(50, 100)) if name in FLOATS else int(rng.integers(5000, 10000))
           for name in (*NOISY, *COUNTS)}
        for kernel, design, cpus, batch, churn, n in grid
    ]  # fmt: skip


@pytest.fixture
def asked(land):
    """Return what a run of so many replicates has to say, a setting each."""

    def _asked(replicates):
        rows = points(replicates)
        lives = {row["life_id"]: {"life_id": row["life_id"], "t_s": 86400.0, "dying_memcgs": 7} for row in rows}
        config = {"batch": 64, "cpus": 64, "churn_hz": 0.01, "axes": {"kernel": ["linux-5.2", "linux-6.1"]}}
        manifest = {"state": "complete", "experiment": "toy", "config": config}
        return answers(holding(open_run(str(land(rows, list(lives.values()), f"of{replicates}", manifest=manifest)))))

    return _asked


def test_every_mean_of_a_table_has_its_interval(asked):
    """No figure of any table stands alone where there are three replicates; where there is one none has any."""
    for replicates in (3, 1):
        told = list(sheets(asked(replicates), Shown()))
        figures = [
            (sheet.name, cell.column, cell.half_width is not None)
            for sheet in told
            for line in sheet.lines
            for cell in line.cells
            if isinstance(cell, Estimate) and cell.value is not None
        ]

        assert {name for name, *_ in figures} >= {"debate", "meminfo", "upgrade", "prices", "memory", "batch", "pareto"}
        assert {figure[:2] for figure in figures if figure[2] != (replicates > 1)} == set()


def test_every_mean_of_a_chart_has_its_interval(asked):
    """What a chart draws has half its interval beside it, under the name of the column."""
    drawn = list(charts(asked(3)[0]))
    scatters = {chart.x for chart in drawn if chart.kind == "scatter"}
    alone = {
        (chart.name, column)
        for chart in drawn
        for column in {*chart.y, *scatters} & set(chart.rows[0])
        if any(row[column] is not None and row.get(f"{column}_pm") is None for row in chart.rows)
    }

    assert {chart.name for chart in drawn} == {
        "memory", "components", "dying", "atomics", "time", "batches", "best", "pareto"
    }  # fmt: skip
    assert alone == set()
