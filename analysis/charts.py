"""The charts of a report: Plotly figures made of rows of the marts. Colours of text and grid are left to the page."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from analysis.answers import Answers, Row, few
from analysis.palette import color
from analysis.readings import usual_batch

COMPONENTS = ("#4477aa", "#66ccee", "#228833", "#ccbb44", "#ee6677", "#aa3377", "#bbbbbb", "#44aa99", "#999933", "#332288")
CHURN_SHOWN = 7  # entries of a menu
HEIGHT_PX = 420


def memory(ask: Answers) -> go.Figure:
    """Bytes by component, stacked, over CPUs, one panel per design; a menu picks the churn."""
    rows = ask.rows("""
        select design, cpus, churn_hz, component, avg(bytes) as bytes from memory
        where setting = $setting group by all having max(bytes) > 0 order by all
    """)
    designs = ask.axis("design")
    components = list(dict.fromkeys(row["component"] for row in rows))
    churn = few(ask.axis("churn_hz"), CHURN_SHOWN)
    figure = make_subplots(1, len(designs), shared_yaxes=True, subplot_titles=designs, horizontal_spacing=0.02)
    shown = []
    for hz in churn:
        for place, design in enumerate(designs, 1):
            for name, paint in zip(components, COMPONENTS * 9, strict=False):
                here = [row for row in rows if (row["design"], row["churn_hz"], row["component"]) == (design, hz, name)]
                bar = go.Bar(
                    x=[str(row["cpus"]) for row in here], y=[row["bytes"] for row in here], name=name,
                    marker_color=paint, legendgroup=name, showlegend=place == 1, visible=hz == churn[-1],
                )
                figure.add_trace(bar, 1, place)
                shown.append(hz)
    figure.update_layout(barmode="stack", **_menu([(f"{hz:g} Hz", [each == hz for each in shown]) for hz in churn]))
    return _finished(figure, x="CPUs", y="bytes")


def over_batch(ask: Answers) -> go.Figure:
    """Atomics per page charge over the charge batch, one line per design; a menu picks the CPU count."""
    rows = ask.rows("""
        select design, cpus, batch, avg(atomics_per_page_charge) as y from atomic_cost
        where setting = $setting group by all order by all
    """)
    return _lines(ask, rows, "batch", "cpus", "{} CPUs", x="charge batch, pages", y="atomics per page charge")
