"""The charts of a report as SVG and PNG, drawn without a browser from the same rows, at the configured point."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

from analysis.answers import Answers
from analysis.charts import AXIS_TITLES, Chart, charts, styles
from analysis.measures import title
from analysis.output import writable
from analysis.run import InputError
from analysis.sheets import LETTERS
from analysis.units import human, scale

MARKERS = {
    "circle": "o",
    "square": "s",
    "triangle": "^",
    "diamond": "D",
    "down": "v",
    "plus": "P",
    "cross": "X",
    "star": "*",
}
INCHES = (7.0, 4.2)
OVERVIEW = ("memory", "dying", "atomics")  # side by side in the picture that goes by the run's name
PANEL_INCHES = (4.6, 4.0)
DOTS_PER_INCH = 150
LOG_SPREAD = 30  # values that differ by more than this factor want a logarithmic axis
WORDS = {"cpus": "{:g} CPUs", "batch": "batch {:g}", "churn_hz": "{:.3g} Hz"}


def figures(asked: list[Answers], name: str, folder: Path) -> list[Path]:
    """Write every chart of every setting into `folder` as <name>-<chart>.svg and .png, and an overview as <name>.*.

    Raises InputError where matplotlib is missing or the folder cannot be written.
    """
    try:
        import matplotlib
    except ImportError as error:
        raise InputError("--figures needs matplotlib (got none); pip install 'matplotlib>=3.8'") from error
    matplotlib.use("agg")
    matplotlib.rcParams.update(
        {
            "svg.fonttype": "none",
            "svg.hashsalt": name,
            "font.size": 10,
            "axes.spines.top": False,
            "axes.spines.right": False,
        }
    )
    written = []
    with writable("--figures", folder):
        folder.mkdir(parents=True, exist_ok=True)
        for ask in asked:
            stem = "-".join(filter(None, (name, re.sub(r"[^\w.=]+", "-", ask.setting))))
            drawn = list(charts(ask))
            for chart in drawn:
                panels = _panels(chart)
                inches = INCHES if len(panels) == 1 else (PANEL_INCHES[0] * len(panels), PANEL_INCHES[1])
                written += _save(panels, folder / f"{stem}-{chart.name}", inches)
            if panels := [chart for chart in drawn if chart.name in OVERVIEW]:
                inches = (PANEL_INCHES[0] * len(panels), PANEL_INCHES[1])
                written += _save(sorted(panels, key=lambda chart: OVERVIEW.index(chart.name)), folder / stem, inches)
    return written


def _panels(chart: Chart) -> list[Chart]:
    """A chart once for each measure of a map and each figure of a scatter, as a picture has no menus."""
    if "measure" in chart.menus:
        measures = sorted({row["measure"] for row in chart.rows})
        return [replace(chart, start=chart.start | {"measure": measure}) for measure in measures]
    return [replace(chart, y=(y,)) for y in chart.y] if chart.kind == "scatter" else [chart]


def _save(panels: list[Chart], stem: Path, inches: tuple[float, float]) -> list[Path]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=inches, layout="constrained")
    axes = figure.subplots(1, len(panels), squeeze=False)[0]
    for ax, chart in zip(axes, panels, strict=True):
        draw: Callable[[Any, Chart], None] = {"lines": _lines, "bars": _bars, "map": _map, "scatter": _scatter}[
            chart.kind
        ]
        draw(ax, chart)
        ax.set_title(f"{chart.title}\n{_where(chart)}", fontsize=10, loc="left")
    handles, labels = _legend(axes)
    if handles:
        figure.legend(
            handles,
            labels,
            loc="outside lower center",
            ncols=min(len(labels), 5 if len(panels) > 1 else 4),
            frameon=False,
        )
    paths = [stem.with_name(f"{stem.name}.{kind}") for kind in ("svg", "png")]
    for path in paths:
        # without a date, so that the same rows are the same file
        figure.savefig(path, dpi=DOTS_PER_INCH, metadata={"Date": None} if path.suffix == ".svg" else None)
    return paths


def _lines(ax: Any, chart: Chart) -> None:
    y, rows = chart.y[0], [row for row in chart.first() if row[chart.y[0]] is not None]
    size, unit = scale(max((row[y] for row in rows), default=0), chart.units[y])
    for style in styles():
        line = sorted((row for row in rows if row["design"] == style["design"]), key=lambda row: row[chart.x])
        if not line:
            continue
        places, means = [row[chart.x] for row in line], [row[y] / size for row in line]
        half = [(row[f"{y}_pm"] or 0) / size for row in line]
        ax.plot(
            places, means, label=style["design"], color=style["color"], marker=MARKERS[style["symbol"]], markersize=4.5,
            markevery=max(1, len(line) // 12), linestyle=_dash(style["dash"]), linewidth=1.7,
        )  # fmt: skip
        low, high = ([max(mean + sign * each, 0) for mean, each in zip(means, half, strict=True)] for sign in (-1, 1))
        ax.fill_between(places, low, high, color=style["color"], alpha=0.16, linewidth=0)
        for row in line:
            if row.get("out_of_memory"):
                ax.annotate("out of memory", (row[chart.x], row[y] / size), fontsize=7, ha="right", va="bottom")
    _log(ax, chart.x, [row[chart.x] for row in rows])
    if chart.x != "days" and _spread(row[y] for row in rows):
        _log_figures(ax, "y", [row[y] for row in rows], chart.units[y], size)
    else:
        ax.set_ylim(bottom=0)
    ax.set_xlabel(chart.labels[chart.x])
    log = ax.get_yscale() == "log"
    ax.set_ylabel(chart.labels[y] + (f", {unit}" if unit and not log else ""))
    ax.grid(axis="y", alpha=0.3)


def _bars(ax: Any, chart: Chart) -> None:
    rows = chart.first()
    designs = [style["design"] for style in styles() if any(row["design"] == style["design"] for row in rows)]
    size, unit = scale(max((sum(row["bytes"] for row in rows if row["design"] == d) for d in designs), default=0), "B")
    left, named = dict.fromkeys(designs, 0.0), set[str]()
    for component, paint in chart.colors.items():
        for row in rows:
            if row["component"] == component:
                label = "others" if paint == list(chart.colors.values())[-1] and len(chart.colors) > 10 else component
                ax.barh(
                    designs.index(row["design"]), row["bytes"] / size, left=left[row["design"]], color=paint,
                    label=None if label in named else label,
                )  # fmt: skip
                named.add(label)
                left[row["design"]] += row["bytes"] / size
    ax.set_yticks(range(len(designs)), designs)
    ax.invert_yaxis()
    ax.set_xlabel(unit)


def _map(ax: Any, chart: Chart) -> None:
    rows = chart.first()
    churn, cpus = (sorted({row[axis] for row in rows}) for axis in ("churn_hz", "cpus"))
    winners = {name for row in chart.rows for name in (row["best_design"], *row["tied"])}
    names = [style["design"] for style in styles() if style["design"] in winners]
    colors = {style["design"]: style["color"] for style in styles()}
    for row in rows:
        won = [name for name in names if name == row["best_design"] or name in row["tied"]]
        x, y = churn.index(row["churn_hz"]), cpus.index(row["cpus"])
        for place, name in enumerate(won):
            ax.barh(
                y, 0.96 / len(won), 0.92, left=x - 0.48 + place * 0.96 / len(won), color=colors[name],
                alpha=0.55 if len(won) > 1 else 1,
            )  # fmt: skip
        letters = "".join(LETTERS[names.index(name)] for name in won)
        ax.text(x, y, letters, ha="center", va="center", fontsize=8)
    for name in names:
        ax.bar(0, 0, color=colors[name], label=f"{LETTERS[names.index(name)]} {name}")
    step = -(-len(churn) // 5)
    ax.set_xticks(range(0, len(churn), step), [f"{hz:.3g}" for hz in churn[::step]])
    ax.set_yticks(range(len(cpus)), [f"{n}" for n in cpus])
    ax.set_xlabel(chart.labels["churn_hz"])
    ax.set_ylabel("CPUs")
    ax.invert_yaxis()


def _scatter(ax: Any, chart: Chart) -> None:
    x, y = chart.x, chart.y[0]
    rows = [row for row in chart.first() if row[x] is not None and row[y] is not None]
    (x_size, x_unit), (y_size, y_unit) = (
        scale(max((row[column] for row in rows), default=0), chart.units[column]) for column in (x, y)
    )
    for style in styles():
        here = [row for row in rows if row["design"] == style["design"]]
        for row in here:
            hollow = not row["pareto"] if "pareto" in row else bool(row["dominated_by"])
            ax.errorbar(
                row[x] / x_size, row[y] / y_size,
                xerr=(row[f"{x}_pm"] or 0) / x_size, yerr=(row[f"{y}_pm"] or 0) / y_size,
                color=style["color"], marker=MARKERS[style["symbol"]], markersize=8, elinewidth=1,
                markerfacecolor="none" if hollow else style["color"], linestyle="none",
                label=style["design"],
            )  # fmt: skip
    for axis, column, size in (("x", x, x_size), ("y", y, y_size)):
        if _spread(row[column] for row in rows):
            _log_figures(ax, axis, [row[column] for row in rows], chart.units[column], size)
    for axis, column, unit in (("x", x, x_unit), ("y", y, y_unit)):
        log = getattr(ax, f"get_{axis}scale")() == "log"
        getattr(ax, f"set_{axis}label")(chart.labels[column] + (f", {unit}" if unit and not log else ""))
    ax.grid(alpha=0.3)


def _log(ax: Any, axis: str, values: Iterable[float]) -> None:
    """A logarithmic axis with its own values as ticks, as many as can be read."""
    there = sorted(set(values))
    if axis not in AXIS_TITLES or not there or there[0] <= 0:
        return
    ax.set_xscale("log")
    step = -(-len(there) // 5)
    ax.set_xticks(there[::step], [f"{value:.3g}" for value in there[::step]])
    ax.minorticks_off()


def _log_figures(ax: Any, axis: str, values: Iterable[float], unit: str, size: float) -> None:
    """A logarithmic axis of figures: powers of two for bytes, of ten for others, each with its unit."""
    positive = [value for value in values if value > 0]
    low, high = min(positive), max(positive)
    step = max(1, math.ceil(math.log2(high / low) / 5))
    steps = [2.0**power for power in range(0, 60, step)] if unit == "B" else [10.0**power for power in range(-9, 13)]
    ticks = [value / size for value in steps if low / 10 <= value <= high * 10]
    getattr(ax, f"set_{axis}scale")("log")
    limits = (min(positive) / size / 1.6, max(positive) / size * 1.6)
    getattr(ax, f"set_{axis}ticks")(ticks, [human(tick * size, unit) for tick in ticks])
    getattr(ax, f"set_{axis}lim")(*limits)
    ax.minorticks_off()


def _spread(values: Iterable[float]) -> bool:
    positive = [value for value in values if value > 0]
    return bool(positive) and max(positive) > LOG_SPREAD * min(positive)


def _where(chart: Chart) -> str:
    said = [WORDS[menu].format(chart.start[menu]) for menu in chart.menus if menu in WORDS]
    return ", ".join([*([f"least {title(chart.start['measure'])}"] if "measure" in chart.menus else []), *said])


def _legend(axes: Any) -> tuple[list[Any], list[str]]:
    """One entry per label of all panels."""
    found: dict[str, Any] = {}
    for ax in axes:
        for handle, label in zip(*ax.get_legend_handles_labels(), strict=True):
            found.setdefault(label, handle)
    return list(found.values()), list(found)


def _dash(pattern: str) -> Any:
    return (0, tuple(float(part) / 2 for part in pattern.split())) if pattern else "solid"
