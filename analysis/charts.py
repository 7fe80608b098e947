"""The charts of a report: Plotly figures made of rows of the marts. Colours of text and grid are left to the page."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from analysis.answers import Answers, Row, few
from analysis.palette import color
from analysis.units import scale

COMPONENTS = (  # after Paul Tol's bright and muted schemes
    *("#4477aa", "#66ccee", "#228833", "#ccbb44", "#ee6677", "#aa3377", "#bbbbbb", "#44aa99", "#999933", "#332288"),
    *("#882255", "#117733", "#88ccee", "#ddcc77", "#aa4499", "#6699cc", "#661100", "#e17c05", "#8c8c8c"),
)
MENU_ENTRIES = 7
BAND_OPACITY = 0.15


def memory(ask: Answers) -> go.Figure:
    """What gone memcgs hold, by component, stacked over CPUs, one panel per design; a menu picks the churn."""
    rows = ask.rows("""
        select design, cpus, churn_hz, component, avg(bytes) as bytes from memory
        where setting = $setting and state = 'dead' group by all having max(bytes) > 0 order by all
    """)
    designs, weight = ask.axis("design"), Counter[str]()
    for row in rows:
        weight[row["component"]] += row["bytes"]
    components = [name for name, _ in weight.most_common()]
    size, unit = scale(max((row["bytes"] for row in rows), default=0), ask.units.get("total_bytes_end", "1"))
    figure = make_subplots(1, len(designs), shared_yaxes=True, subplot_titles=designs, horizontal_spacing=0.02)
    paint = dict(zip(components, COMPONENTS * len(components), strict=False))

    def panels(hz: float) -> None:
        for place, design in enumerate(designs, 1):
            for name in components:
                here = [row for row in rows if (row["design"], row["churn_hz"], row["component"]) == (design, hz, name)]
                figure.add_bar(
                    x=[str(row["cpus"]) for row in here],
                    y=[row["bytes"] / size for row in here],
                    name=name,
                    marker_color=paint[name],
                    legendgroup=name,
                    showlegend=place == 1,
                    row=1,
                    col=place,
                )

    _menu(figure, few(ask.axis("churn_hz"), MENU_ENTRIES), "{:.3g} Hz", panels)
    figure.update_xaxes(type="category", categoryarray=[str(n) for n in ask.axis("cpus")])
    figure.update_xaxes(title="CPUs", col=(len(designs) + 1) // 2)
    figure.update_yaxes(title=unit, col=1)
    figure.update_annotations(font_size=11)
    return figure.update_layout(barmode="stack")


def dying(ask: Answers) -> go.Figure:
    """Dying memcgs over time, one line per design, with the range over replicates; a menu picks the churn."""
    rows = ask.rows("""
        with lives as (select distinct life_id, churn_hz from points where setting = $setting)
        select design, churn_hz, t_s / 86400 as days, avg(dying_memcgs) as y, min(dying_memcgs) as low,
               max(dying_memcgs) as high
        from series join lives using (life_id) group by all order by all
    """)
    figure = go.Figure()

    def lines(hz: float) -> None:
        for design in ask.axis("design"):
            _line(figure, design, [row for row in rows if (row["design"], row["churn_hz"]) == (design, hz)], "days")

    _menu(figure, few(ask.axis("churn_hz"), MENU_ENTRIES), "{:.3g} Hz", lines)
    figure.update_xaxes(title="days")
    return figure.update_yaxes(title="dying memcgs", rangemode="tozero")


def over_batch(ask: Answers) -> go.Figure:
    """Atomics per page charge over the charge batch, one line per design; a menu picks the CPU count."""
    rows = ask.rows("""
        select design, cpus, batch, avg(atomics_per_page_charge) as y, min(atomics_per_page_charge) as low,
               max(atomics_per_page_charge) as high
        from atomic_cost where setting = $setting group by all order by all
    """)
    figure = go.Figure()

    def lines(cpus: int) -> None:
        for design in ask.axis("design"):
            _line(figure, design, [row for row in rows if (row["design"], row["cpus"]) == (design, cpus)], "batch")

    _menu(figure, few(ask.axis("cpus"), MENU_ENTRIES), "{} CPUs", lines)
    figure.update_xaxes(title="charge batch, pages", type="log", tickvals=ask.axis("batch"))
    return figure.update_yaxes(title="atomics per page charge", rangemode="tozero")


def time(ask: Answers) -> go.Figure:
    """Time per object over CPUs with the band of its price table, one line per design; a menu picks the batch."""
    rows = ask.rows("""
        select design, batch, cpus, avg(ns_per_object) as y, avg(ns_per_object_low) as low,
               avg(ns_per_object_high) as high
        from ns_per_charge where setting = $setting group by all order by all
    """)
    figure = go.Figure()

    def lines(batch: int) -> None:
        for design in ask.axis("design"):
            _line(figure, design, [row for row in rows if (row["design"], row["batch"]) == (design, batch)], "cpus")

    _menu(figure, few(ask.axis("batch"), MENU_ENTRIES), "batch {}", lines)
    figure.update_xaxes(title="CPUs, all charging", type="log", tickvals=ask.axis("cpus"))
    return figure.update_yaxes(title="ns per object", type="log", dtick=1)


def best(ask: Answers) -> go.Figure:
    """Which design is best over CPUs and churn; a menu picks the measure."""
    rows = ask.rows("from crossover where setting = $setting and batch = $batch", batch=ask.usual("batch"))
    designs, cpus, churn = ask.axis("design"), ask.axis("cpus"), ask.axis("churn_hz")
    figure = go.Figure()
    steps = [(edge / len(designs), color(name)) for place, name in enumerate(designs) for edge in (place, place + 1)]

    def cells(measure: str) -> None:
        won = {(row["cpus"], row["churn_hz"]): row for row in rows if row["measure"] == measure}
        grid = [[won.get((n, hz)) for hz in churn] for n in cpus]
        figure.add_heatmap(
            x=[f"{hz:.3g}" for hz in churn],
            y=[str(n) for n in cpus],
            z=[[designs.index(cell["best_design"]) if cell else None for cell in line] for line in grid],
            text=[[_verdict(ask, measure, cell) for cell in line] for line in grid],
            hovertemplate="%{y} CPUs, %{x} Hz<br>%{text}<extra></extra>",
            colorscale=steps,
            zmin=-0.5,
            zmax=len(designs) - 0.5,
            xgap=2,
            ygap=2,
            colorbar={"tickvals": list(range(len(designs))), "ticktext": designs, "title": "best design"},
        )

    _menu(figure, sorted({row["measure"] for row in rows}), "least {}", cells)
    figure.update_xaxes(title="memcgs that come online per second", type="category")
    return figure.update_yaxes(title="CPUs", type="category")


def _verdict(ask: Answers, measure: str, cell: Row | None) -> str:
    if cell is None:
        return ""
    best, margin = ask.say("atomic_cost", measure, cell["best_value"]), cell["margin"]
    behind = f"; {cell['runner_up']} {margin:.0%} worse" if margin is not None else ""
    return f"{cell['best_design']}: {best}{behind}"


def _line(figure: go.Figure, design: str, rows: Sequence[Row], x: str) -> None:
    """A line with its band from `low` to `high`."""
    places = [row[x] for row in rows]
    figure.add_scatter(
        x=places + places[::-1],
        y=[row["high"] for row in rows] + [row["low"] for row in rows][::-1],
        fill="toself",
        fillcolor=color(design),
        opacity=BAND_OPACITY,
        line_width=0,
        hoverinfo="skip",
        legendgroup=design,
        showlegend=False,
    )
    figure.add_scatter(
        x=places,
        y=[row["y"] for row in rows],
        name=design,
        legendgroup=design,
        mode="lines+markers",
        line={"color": color(design), "width": 2.5},
        marker_size=6,
    )


def _menu(figure: go.Figure, values: Sequence[Any], label: str, draw: Callable[[Any], None]) -> None:
    """Draw the traces of every value, show those of the last, and let a menu pick another."""
    owners: list[Any] = []
    for value in values:
        draw(value)
        owners += [value] * (len(figure.data) - len(owners))
    for trace, owner in zip(figure.data, owners, strict=True):
        trace.visible = owner == values[-1]
    buttons = [
        {"label": label.format(value), "method": "update", "args": [{"visible": [each == value for each in owners]}]}
        for value in values
    ]
    menu = {"buttons": buttons, "active": len(values) - 1, "x": 0, "xanchor": "left", "y": 1.26, "yanchor": "top"}
    figure.update_layout(updatemenus=[menu] if len(values) > 1 else [])
