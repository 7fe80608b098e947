"""One page that answers: words first, then charts, then where the figures come from. It needs no network."""

from __future__ import annotations

from collections.abc import Callable
from html import escape
from importlib import resources
from string import Template
from typing import Any

import plotly.graph_objects as go
from plotly.offline import get_plotlyjs

from analysis import charts, readings
from analysis.answers import Answers
from analysis.run import Run

HEIGHT_PX = 460
LAYOUT = {
    "template": "none",
    "paper_bgcolor": "rgba(0,0,0,0)",
    "plot_bgcolor": "rgba(0,0,0,0)",
    "font": {"family": "system-ui, Segoe UI, Roboto, sans-serif", "size": 13},
    "margin": {"l": 64, "r": 16, "t": 76, "b": 64},
    "legend": {"orientation": "h", "y": -0.26},
    "modebar": {"bgcolor": "rgba(0,0,0,0)", "color": "#9aa4ae", "activecolor": "#5d666f"},
    "height": HEIGHT_PX,
}
ANSWERS: tuple[tuple[str, Callable[[Answers], str]], ...] = (
    ("What does each design cost in memory?", readings.memory),
    ("How many memcgs stay dying?", readings.dying),
    ("What does it cost in atomic operations?", readings.atomics),
    ("What does it cost in time?", readings.time),
    ("Which charge batch is enough?", readings.batch),
    ("Does an atomic reference per slab page matter?", readings.prices),
    ("Where does the best design change?", readings.crossover),
)
# title, caption, axis without whose values there is nothing to see, chart
CHARTS: tuple[tuple[str, str, str | None, Callable[[Answers], go.Figure]], ...] = (
    ("Memory held by gone memcgs", "By component, over CPUs; mean over replicates.", None, charts.memory),
    ("Dying memcgs over time", "Mean; the band spans replicates and CPU counts.", None, charts.dying),
    ("Atomics per page charge", "Over the charge batch; the band spans churn.", "batch", charts.over_batch),
    (
        "Time per object",
        "Over CPUs that all charge, both axes logarithmic; the band is the price table's.",
        "cpus",
        charts.time,
    ),
    ("Best design", "Over CPUs and churn.", "cpus", charts.best),
)


def page(run: Run, asked: list[Answers]) -> str:
    """The report of a run as one HTML document."""
    template = Template(resources.files("analysis").joinpath("report.html").read_text("utf-8"))
    return template.substitute(
        title=escape(f"{run.manifest['experiment']}: what charging slab memory costs"),
        context=_context(asked),
        height=f"{HEIGHT_PX}px",
        plotly=get_plotlyjs(),
        sections="\n".join(_section(ask, number) for number, ask in enumerate(asked)),
        provenance=_provenance(run.manifest),
    )


def _section(ask: Answers, number: int) -> str:
    heading = f"<h2>{escape(ask.setting)}</h2>" if ask.setting else ""
    answers = "".join(
        f"<dt>{question}</dt><dd>{escape(answer)}</dd>" for question, say in ANSWERS if (answer := say(ask))
    )
    figures = "".join(
        f"<figure><h3>{title}</h3><figcaption>{caption}</figcaption>{_chart(draw(ask), f'chart-{number}-{place}')}"
        "</figure>"
        for place, (title, caption, axis, draw) in enumerate(CHARTS)
        if axis is None or len(ask.axis(axis)) > 1
    )
    return f'{heading}<dl class="answers">{answers}</dl>{figures}'


def _chart(figure: go.Figure, name: str) -> str:
    config = {"displaylogo": False, "responsive": True}
    figure.update_layout(LAYOUT)
    html: str = figure.to_html(full_html=False, include_plotlyjs=False, div_id=name, config=config)
    return f'<div class="chart">{html}</div>'


def _context(asked: list[Answers]) -> str:
    """What all points have in common, in words."""
    if not asked:
        return "No points landed."
    [row] = (
        asked[0]
        .con.sql("""
        select count(*) as points, string_agg(distinct kernel, ', ' order by kernel) as kernels,
               string_agg(distinct workload, ', ' order by workload) as workloads,
               count(distinct replicate) as replicates
        from points
    """)
        .fetchall()
    )
    points, kernels, workloads, replicates = row
    return escape(f"{points:,} points · kernel {kernels} · workload {workloads} · {replicates} replicates")


def _provenance(manifest: dict[str, Any]) -> str:
    """Where the figures come from: the manifest without the config, which is the command and the profiles."""
    keys = ("run_id", "command", "commit", "core", "versions", "profiles", "nodes", "driver", "started_at", "wall_s")
    rows = ((key, escape(_in_words(manifest[key]))) for key in keys if key in manifest)
    return "<table>" + "".join(f"<tr><td>{key}</td><td>{words}</td></tr>" for key, words in rows) + "</table>"


def _in_words(value: Any) -> str:
    match value:
        case dict():
            return ", ".join(f"{key} {_in_words(each)}" for key, each in value.items() if each is not None)
        case list():
            return "; ".join(map(_in_words, value))
        case _:
            return str(value)
