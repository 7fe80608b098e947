"""Whatever was swept, the commands answer."""

from __future__ import annotations

import io
from itertools import count, product

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from analysis.answers import answers
from analysis.held import holding
from analysis.report import page
from analysis.run import open_run
from analysis.sheets import Shown, sheets
from analysis.tables import Form, write_sheets

NUMBER = count()
GRID = list(
    product(("unaccounted", "page_ref", "reparent_atomic", "reparent_percpu", "objcg"), (1, 8), (1, 32), (0.1, 1.0))
)


@settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(swept=st.sets(st.sampled_from(GRID), min_size=1, max_size=12), figure=st.sampled_from([0, 1, 7]))
def test_any_subset_of_a_grid_is_told(land, swept, figure):
    """Tables and report come of any set of points, such as a sample's or a run's with holes, with zeros or not."""
    names = ("design", "cpus", "batch", "churn_hz")
    points = [
        dict(zip(names, point, strict=True))
        | {"lost_bytes_end": figure, "dead_bytes_end": figure, "ns_per_object": float(figure), "life_id": f"{n}"}
        for n, point in enumerate(sorted(swept))
    ]
    run = open_run(str(land(points, [{"life_id": "0", "t_s": 1.0}], name=f"run{next(NUMBER)}")))
    asked = answers(holding(run))

    assert page(run, asked).startswith("<!doctype html>")
    assert bool(asked) == any(design != "unaccounted" for design, *_ in swept)
    told = list(sheets(asked, Shown())) if asked else []
    for form in Form if told else ():
        written = io.StringIO()
        write_sheets(told, form, None, ["An introduction."], written)
        assert "debate" in written.getvalue() or "side by side" in written.getvalue()
