"""The sensitivity job: indices that SciPy would give, and inputs that are refused."""

import numpy as np
import pytest
from scipy.stats import sobol_indices

from analysis.db import connect
from analysis.run import open_run
from sweep.errors import InputError
from sweep.jobs.sensitivity import job
from tests.support.commands import folder, sweep

KEYS = ["workload.leftovers.page_cache.private", "workload.cpu_moves"]


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    """Return a small run of two keys."""
    axes = "axes={workload: {cpu_moves: {lin: [1, 24]}, leftovers: {page_cache: {private: {log: [0.025, 0.4]}}}}}"
    return sweep(
        "+experiment=sensitivity",
        "~axes",
        f"+{axes}",
        "sample={method: sobol, n: 32, seed: 1}",
        "cluster=inline",
        "duration_s=86400",
        f"out={tmp_path_factory.mktemp('out')}",
    )


def test_the_mart_gives_scipys_indices(done):
    """Total and first order of each key, as scipy.stats.sobol_indices has them of the same lives' logarithms."""
    con = connect(open_run(str(folder(done))))
    rows = con.sql(
        "select key, total_order, first_order, total_order_pm from sensitivity where output = 'dying_memcgs_end'"
    )
    found = {key: (total, first) for key, total, first, _ in rows.fetchall()}
    landed = con.sql(
        "select key, a, b, ab from samples where output = 'dying_memcgs_end' order by key, sample"
    ).fetchall()
    columns = {key: np.log1p([row[1:] for row in landed if row[0] == key]).T for key in KEYS}
    a, b, _ = columns[KEYS[0]]
    ab = np.array([[columns[key][2]] for key in KEYS])
    want = sobol_indices(func={"f_A": a[None], "f_B": b[None], "f_AB": ab}, n=a.size)

    for at, key in enumerate(KEYS):
        assert found[key] == pytest.approx((want.total_order.ravel()[at], want.first_order.ravel()[at]), abs=1e-9)


def test_what_moves_dying_cgroups_is_said(done):
    """Where page cache pins, its leftovers move the number; moves between CPUs only draw another host."""
    lines = [line for line in done.stderr.splitlines() if "moves" in line and "%" in line]

    assert len(lines) == len(KEYS)
    con = connect(open_run(str(folder(done))))
    shares = dict(con.sql("select key, total_order from sensitivity where output = 'dying_memcgs_end'").fetchall())
    assert shares[KEYS[0]] > 0.5
    assert shares[KEYS[1]] < 0.3  # another value of any key of a workload is another realisation


@pytest.mark.parametrize(
    ("axes", "sample", "says"),
    [
        ({"churn_hz": [1, 2]}, {"n": 8, "seed": 1}, "axes.churn_hz must be a range to sample"),
        ({"churn_hz": {"log": [2, 1]}}, {"n": 8, "seed": 1}, "axes.churn_hz must be a range to sample"),
        ({"kernel": {"lin": [1, 2]}}, {"n": 8, "seed": 1}, "axes.kernel must be a key of numbers"),
        ({"churn_hz": {"log": [1, 2]}}, {"n": 9, "seed": 1}, "sample must have a seed and n, a power of two (got n=9"),
    ],
)
def test_what_cannot_be_sampled_is_one_line(axes, sample, says):
    """A list, a range that falls, a group, a number of rows that Sobol points do not balance."""
    with pytest.raises(InputError) as error:
        job({"axes": axes, "sample": sample, "churn_hz": 0.1, "kernel": {"name": "x"}})

    assert says in str(error.value)
