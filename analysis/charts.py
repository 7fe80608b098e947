"""What each chart of a report shows: rows of the marts. The page and the pictures draw the same."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from math import prod
from typing import Any, Literal

from analysis.answers import Answer, Answers, few
from analysis.measures import TIE_RULE, head, title
from core.designs import DESIGNS

# after Paul Tol's bright and muted schemes
COMPONENT_COLORS = (
    *("#4477aa", "#66ccee", "#228833", "#ccbb44", "#ee6677", "#aa3377", "#44aa99", "#e17c05", "#8866cc"),
    "#999999",  # all the others
)
SYMBOLS = ("circle", "square", "triangle", "diamond", "down", "plus", "cross", "star")
DASHES = ("", "7 3", "2 3", "10 3 2 3", "5 2 1 2 1 2", "12 4", "1 2", "8 2 2 2")
MOST_CHART_ROWS = 80_000  # of a chart in a page that is sent by mail; longer axes are thinned, and that is said
AXIS_TITLES = {"cpus": "CPUs", "batch": "charge batch, pages", "churn_hz": "memcgs that come online per second"}


@dataclass(frozen=True)
class Chart:
    """kind: how it is drawn. y: columns to choose from. menus: axes with one value at a time. rows: of the mart."""

    name: str
    title: str
    caption: str
    kind: Literal["lines", "bars", "map", "scatter"]
    x: str
    y: tuple[str, ...]
    menus: tuple[str, ...]
    rows: list[Answer]
    start: Answer  # what the menus say first: the configured point
    labels: dict[str, str]  # of columns
    units: dict[str, str]
    colors: dict[str, str] = field(default_factory=dict)  # of components
    note: str = ""

    def first(self) -> list[Answer]:
        """The rows that are shown first."""
        return [row for row in self.rows if all(row[menu] == self.start[menu] for menu in self.menus)]


def charts(ask: Answers) -> Iterator[Chart]:
    """Every chart of a setting that has something to show."""
    for make in (_memory, _components, _dying, _atomics, _time, _batches, _best, _pareto):
        chart = make(ask)
        if chart is not None and chart.rows:
            yield chart


def styles() -> list[dict[str, str]]:
    """How each design is drawn: colour, symbol and dash."""
    from analysis.palette import color

    return [
        {
            "design": name,
            "color": color(name),
            "symbol": SYMBOLS[place % len(SYMBOLS)],
            "dash": DASHES[place % len(DASHES)],
        }
        for place, name in enumerate(DESIGNS)
    ]


def as_json(chart: Chart) -> dict[str, Any]:
    """A chart for the page: its rows by column, so that names are sent once."""
    columns = list(chart.rows[0])
    rows = [[row[column] for column in columns] for row in chart.rows]
    return asdict(chart) | {"columns": columns, "rows": rows, "first": None}


def _memory(ask: Answers) -> Chart | None:
    return _lines(
        ask,
        "memory",
        heading="Memory held for gone memcgs",
        caption="Dead memory leads; total memory is what the host holds in all.",
        y=("dead_bytes_end", "total_bytes_end"),
        x="churn_hz",
    )


def _atomics(ask: Answers) -> Chart | None:
    return _lines(
        ask,
        "atomics",
        heading="Atomics per page charge",
        caption="A page charge and its uncharge; locks and references are figures of their own.",
        y=("atomics_per_page_charge", "atomics_per_object", "refs_per_page", "locks_per_page"),
        x="batch",
    )


def _time(ask: Answers) -> Chart | None:
    return _lines(
        ask,
        "time",
        heading="Time per object",
        caption="Allocated and freed, every CPU charging. The table has the band of the prices, which is no interval.",
        y=("ns_per_object", "ns_per_page_charge"),
        x="cpus",
        more=("ns_per_object_low", "ns_per_object_high"),
    )


def _lines(
    ask: Answers, name: str, *, heading: str, caption: str, y: tuple[str, ...], x: str, more: tuple[str, ...] = ()
) -> Chart | None:
    """Means of `cells` over one axis, a line per design; menus pick the other axes."""
    if len(ask.axis(x)) == 1:
        x = max(AXIS_TITLES, key=lambda axis: len(ask.axis(axis)))
    menus = tuple(axis for axis in AXIS_TITLES if axis != x)
    values, note = _thinned(ask, (x, *menus))
    figures = ", ".join(f"{column}, {column}_pm" for column in y)
    where = " and ".join(f"list_contains(${axis}, {axis})" for axis in AXIS_TITLES)
    rows = ask.rows(
        f"""
        select design, cpus, batch, churn_hz, {figures}{"".join(f", {column}" for column in more)}, out_of_memory
        from main.cells where setting = $setting and {where}
          and design in (select name from designs where accounts)
        order by cpus, batch, churn_hz, design
        """,
        **values,
    )
    shown = tuple(column for column in y if any(row[column] is not None for row in rows))
    if not shown or len(ask.axis(x)) == 1:
        return None
    return _chart(
        ask, name, heading=heading, caption=caption, kind="lines", x=x, y=shown, menus=menus, rows=rows, note=note
    )


def _dying(ask: Answers) -> Chart | None:
    """Dying memcgs over time, a line per design."""
    if not ask.con.execute("select 1 from information_schema.tables where table_name = 'series'").fetchall():
        return None
    values, note = _thinned(ask, ("cpus", "churn_hz"), 64)
    rows = ask.rows(
        """
        with lives as (
            select distinct life_id, design, cpus, churn_hz from points
            where setting = $setting and list_contains($cpus, cpus) and list_contains($churn_hz, churn_hz)
              and design in (select name from designs where accounts)
        )
        select l.design, l.cpus, l.churn_hz, t_s / 86400 as days,
               avg(dying_memcgs) as dying_memcgs, half_width(dying_memcgs) as dying_memcgs_pm
        from series join lives as l using (life_id) group by all order by l.cpus, l.churn_hz, days, l.design
        """,
        **values,
    )
    caption = "Over simulated time."
    menus = ("cpus", "churn_hz")
    return _chart(
        ask,
        "dying",
        heading="Dying memcgs over time",
        caption=caption,
        kind="lines",
        x="days",
        y=("dying_memcgs",),
        menus=menus,
        rows=rows,
        note=note,
    )


def _components(ask: Answers) -> Chart | None:
    """What gone memcgs hold, by component: a bar per design."""
    values, note = _thinned(ask, ("cpus", "churn_hz"), 100)
    rows = ask.rows(
        """
        select design, cpus, churn_hz, component, avg(bytes) as bytes, half_width(bytes) as bytes_pm from memory
        where setting = $setting and state = 'dead' and batch = $batch
          and list_contains($cpus, cpus) and list_contains($churn_hz, churn_hz)
          and design in (select name from designs where accounts)
        group by all having max(bytes) > 0 order by cpus, churn_hz, design, bytes desc
        """,
        batch=ask.point.batch,
        **values,
    )
    weight = Counter[str]()
    for row in rows:
        weight[row["component"]] += row["bytes"]
    names = [name for name, _ in weight.most_common()]
    colors = {name: COMPONENT_COLORS[min(place, len(COMPONENT_COLORS) - 1)] for place, name in enumerate(names)}
    caption = f"Means over replicates, at batch {ask.point.batch}, of the dead memory above; the table has intervals."
    chart = _chart(
        ask,
        "components",
        heading="What gone memcgs hold",
        caption=caption,
        kind="bars",
        x="bytes",
        y=("bytes",),
        menus=("cpus", "churn_hz"),
        rows=rows,
        note=note,
    )
    chart.colors.update(colors)
    chart.units.update(bytes="B", bytes_pm="B")
    return chart


def _batches(ask: Answers) -> Chart | None:
    """Atomics against what stocks hold, a line from batch to batch per design."""
    if len(ask.axis("batch")) == 1:
        return None
    values, note = _thinned(ask, ("batch", "cpus", "churn_hz"))
    rows = ask.rows(
        """
        select design, cpus, churn_hz, batch, atomics_per_page_charge, atomics_per_page_charge_pm,
               stocked_bytes_mean, stocked_bytes_mean_pm, enough, pareto, out_of_memory
        from batch_choice
        where setting = $setting and stocked_bytes_mean is not null and list_contains($cpus, cpus)
          and list_contains($churn_hz, churn_hz) and list_contains($batch, batch)
        order by cpus, churn_hz, design, batch
        """,
        **values,
    )
    caption = (
        "From the smallest batch to the largest; filled: no other batch has both fewer atomics and less in stocks."
    )
    return _chart(
        ask,
        "batches",
        heading="What a larger charge batch saves and holds",
        caption=caption,
        kind="scatter",
        x="stocked_bytes_mean",
        y=("atomics_per_page_charge",),
        menus=("cpus", "churn_hz"),
        rows=rows,
        note=note,
    )


def _best(ask: Answers) -> Chart | None:
    """The best design over CPUs and churn."""
    if len(ask.axis("design")) == 1 or len(ask.axis("cpus")) * len(ask.axis("churn_hz")) == 1:
        return None
    values, note = _thinned(ask, ("cpus", "churn_hz", "batch"))
    rows = ask.rows(
        """
        select measure, batch, cpus, churn_hz, best_design, best_value, best_value_pm, tied, runner_up, margin
        from crossover
        where setting = $setting and list_contains($cpus, cpus) and list_contains($churn_hz, churn_hz)
          and list_contains($batch, batch) order by all
        """,
        **values,
    )
    caption = f"Several letters: {TIE_RULE[:1].lower()}{TIE_RULE[1:]} What runs out of memory is left out."
    chart = _chart(
        ask,
        "best",
        heading="Best design",
        caption=caption,
        kind="map",
        x="churn_hz",
        y=("best_value",),
        menus=("measure", "batch"),
        rows=rows,
        note=note,
    )
    return Chart(**{**vars(chart), "start": chart.start | {"measure": "dead_bytes_end"}})


def _pareto(ask: Answers) -> Chart | None:
    """Memory against atomics and time, a mark per design."""
    if len(ask.axis("design")) == 1:
        return None
    values, note = _thinned(ask, tuple(AXIS_TITLES))
    where = " and ".join(f"list_contains(${axis}, {axis})" for axis in AXIS_TITLES)
    rows = ask.rows(
        f"""
        select design, cpus, batch, churn_hz, dead_bytes_end, dead_bytes_end_pm, atomics_per_object,
               atomics_per_object_pm, ns_per_object, ns_per_object_pm, dominated_by, out_of_memory
        from pareto where setting = $setting and {where} order by cpus, batch, churn_hz, design
        """,
        **values,
    )
    caption = "Hollow: another design is better in memory, atomics or time, in none worse; nobody should choose it."
    y = ("atomics_per_object", "ns_per_object")
    return _chart(
        ask,
        "pareto",
        heading="Memory against atomics and time",
        caption=caption,
        kind="scatter",
        x="dead_bytes_end",
        y=y,
        menus=tuple(AXIS_TITLES),
        rows=rows,
        note=note,
    )


def _chart(
    ask: Answers,
    name: str,
    *,
    heading: str,
    caption: str,
    kind: Literal["lines", "bars", "map", "scatter"],
    x: str,
    y: tuple[str, ...],
    menus: tuple[str, ...],
    rows: list[Answer],
    note: str,
) -> Chart:
    columns = rows[0] if rows else {}
    intervals = "" if kind in {"bars", "map"} else " " + _intervals(ask)
    return Chart(
        name=name,
        title=heading,
        caption=caption + intervals,
        kind=kind,
        x=x,
        y=y,
        menus=menus,
        rows=rows,
        start=vars(ask.point) | {"measure": ""},
        labels={column: AXIS_TITLES.get(column, head(column)) for column in (*columns, "days")}
        | {column: title(column) for column in y},
        units={column: ask.unit(column.removesuffix("_pm")) for column in columns},
        note=note,
    )


def _intervals(ask: Answers) -> str:
    if ask.replicates == 1:
        return "One replicate: no intervals."
    return f"Bands: 95 % intervals of the mean over {ask.replicates} replicates (Student's t)."


def _thinned(ask: Answers, axes: Sequence[str], each: int = 1) -> tuple[dict[str, list[Any]], str]:
    """The values of axes that a chart shows, all where that is at most MOST_CHART_ROWS rows, and what is left out."""
    values = {axis: ask.axis(axis) for axis in axes}
    most = max(map(len, values.values()))
    while most > 2 and prod(min(len(there), most) for there in values.values()) * each * 8 > MOST_CHART_ROWS:
        most -= 1
    thin = {axis: few(there, most, getattr(ask.point, axis)) for axis, there in values.items()}
    left = [f"{len(there) - len(thin[axis])} of {len(there)} values of {axis}" for axis, there in values.items()]
    said = "; ".join(text for text in left if not text.startswith("0 "))
    return thin, f"Not shown: {said}; sql has them." if said else ""
