"""One page that answers: words first, then charts, then where the figures come from. It needs no network."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from html import escape
from importlib import resources
from string import Template
from typing import Any

from analysis import readings
from analysis.answers import Answers
from analysis.charts import Chart, as_json, charts, styles
from analysis.measures import MEASURES
from analysis.run import Run
from analysis.units import SCALES

ANSWERS: tuple[tuple[str, Callable[[Answers], str]], ...] = (
    ("What does each design cost in memory?", readings.memory),
    ("How many memcgs stay dying?", readings.dying),
    ("What does it cost in atomic operations?", readings.atomics),
    ("What does it cost in time?", readings.time),
    ("Which designs should nobody choose?", readings.pareto),
    ("Which charge batch is enough?", readings.batch),
    ("What would another kernel give back?", readings.upgrade),
    ("Does an atomic reference per slab page matter?", readings.prices),
    ("Where does the best design change?", readings.best_by_cpus),
)


def page(run: Run, asked: list[Answers]) -> str:
    """The report of a run as one HTML document."""
    files = resources.files("analysis")
    drawn = [list(charts(ask)) for ask in asked]
    data = {
        "charts": [as_json(chart) | {"id": _id(number, chart)} for number, each in enumerate(drawn) for chart in each],
        "styles": styles(),
        "scales": SCALES,
        "titles": {name: measure.title for name, measure in MEASURES.items()},
        "units": {name: asked[0].unit(name) for name in MEASURES} if asked else {},
    }
    return Template(files.joinpath("report.html").read_text("utf-8")).substitute(
        title=escape(f"{run.manifest['experiment']}: what charging slab memory costs"),
        context=_context(asked),
        sections="\n".join(
            _section(ask, number, each) for number, (ask, each) in enumerate(zip(asked, drawn, strict=True))
        ),
        provenance=_provenance(run.manifest),
        data=json.dumps(_finite(data), separators=(",", ":")).replace("<", "\\u003c"),
        script=files.joinpath("report.js").read_text("utf-8"),
    )


def _section(ask: Answers, number: int, drawn: list[Chart]) -> str:
    heading = f"<h2>{escape(ask.setting)}</h2>" if ask.setting else ""
    answers = "".join(
        f"<dt>{question}</dt><dd>{escape(answer)}</dd>" for question, say in ANSWERS if (answer := say(ask))
    )
    figures = "".join(
        f'<figure id="{_id(number, chart)}"><h3>{escape(chart.title)}</h3>'
        f"<figcaption>{escape(' '.join(filter(None, (chart.caption, chart.note))))}</figcaption></figure>\n"
        for chart in drawn
    )
    return f'{heading}<dl class="answers">{answers}</dl>\n{figures}'


def _id(number: int, chart: Chart) -> str:
    return f"{chart.name}-{number}"


def _finite(value: Any) -> Any:
    """The same without infinities, which JSON has no word for: null."""
    match value:
        case float():
            return value if math.isfinite(value) else None
        case dict():
            return {key: _finite(each) for key, each in value.items()}
        case list() | tuple():
            return [_finite(each) for each in value]
        case _:
            return value


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
    return escape(
        f"{points:,} points · kernel {kernels} · workload {workloads} · "
        f"{replicates} replicate{'s' * (replicates != 1)} · ±: half the 95 % interval of a mean (Student's t)"
    )


def _provenance(manifest: dict[str, Any]) -> str:
    """Where the figures come from: the manifest without the config, which is the command and the profiles."""
    keys = ("run_id", "command", "commit", "core", "versions", "profiles", "nodes", "driver", "started_at", "wall_s")
    rows = ((key, escape(_in_words(manifest[key]))) for key in keys if key in manifest)
    return "".join(f"<tr><td>{key}</td><td>{words}</td></tr>" for key, words in rows)


def _in_words(value: Any) -> str:
    match value:
        case dict():
            return ", ".join(f"{key} {_in_words(each)}" for key, each in value.items() if each is not None)
        case list():
            return "; ".join(map(_in_words, value))
        case _:
            return str(value)
