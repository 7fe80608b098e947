"""The answers of one setting as tables for a terminal, 100 columns wide, each with what it says in one sentence."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich import box
from rich.columns import Columns
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from analysis import readings
from analysis.answers import Answers, few
from analysis.palette import color
from analysis.units import three_digits
from core.designs import DESIGNS

WIDTH = 100  # characters; what a cover letter or a batch log bears
FIGURES = 8  # columns of figures that fit
CPU_ROWS = 3  # CPU counts shown of each design
PRICE_ROWS = 3  # batches shown of each price table
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


def across(asked: Sequence[Answers]) -> Iterator[RenderableType]:
    """What is read across settings: the designs side by side, and prices."""
    batch, churn = asked[0].usual("batch"), three_digits(asked[0].usual("churn_hz"))
    told = {
        f"The designs side by side, at batch {batch} and {churn} Hz": (readings.debate, _debate),
        "What an atomic reference per slab page costs, and what remedies give back": (readings.prices, _prices),
    }
    for title, (read, table) in told.items():
        said = [(ask, read(ask)) for ask in asked]
        if any(reading for _, reading in said):
            yield _titled(title, "\n".join(_of(ask, reading) for ask, reading in said if reading), table(asked))


def every(ask: Answers) -> Iterator[RenderableType]:
    """What one setting says, in the order in which a reader asks."""
    yield _titled(
        "Memory lost at the end, by memcgs that come online per second",
        readings.memory(ask),
        _pivot(ask, "memory_overhead", "lost_bytes_end", "churn_hz", " Hz"),
    )
    yield _titled(
        "Dying memcgs at the end, by memcgs that come online per second",
        readings.dying(ask),
        _pivot(ask, "memory_overhead", "dying_memcgs_end", "churn_hz", " Hz"),
    )
    yield _titled(
        "Atomics per page charge, by charge batch in pages; mean over churn",
        readings.atomics(ask),
        _pivot(ask, "atomic_cost", "atomics_per_page_charge", "batch", ""),
    )
    if enough := readings.batch(ask):
        yield _titled(
            "Smallest charge batch, in pages, within 5 % of the fewest atomics, by CPUs; largest over churn",
            enough,
            _pivot(ask, "batch_choice", "batch", "cpus", "", over="max", most=FIGURES + 1),
        )
    yield _best(ask)
    batch = ask.usual("batch")
    yield _titled(
        f"Time per object allocated and freed, every CPU charging, at batch {batch}, by CPUs; mean over churn",
        readings.time(ask),
        _pivot(ask, f"(from ns_per_charge where batch = {batch})", "ns_per_object", "cpus", ""),
    )


def _debate(asked: Sequence[Answers]) -> Table:
    """One row per setting, design and CPU count; a figure per thing that the designs were argued about."""
    figures = {
        "lost_bytes_end": "memory\nlost",
        "dying_memcgs_end": "dying\nmemcgs",
        "atomics_per_charge": "atomics\nper\ncharge",
        "atomics_per_uncharge": "atomics\nper un-\ncharge",
        "ref_atomics_per_page": "refs\nper\npage",
        "locks_per_page": "locks\nper\npage",
        "offline_work_us": "rmdir\nwork",
        "inherited_bytes_mean": "legacy",
        "over_half_limit_share": ">half\nlimit",
    }
    table = _empty("design", "cpus", *figures.values())
    for ask in asked:
        _section(table, ask)
        cpus = few(ask.axis("cpus"), CPU_ROWS)
        rows = ask.rows(
            """
            from debate where setting = $setting and batch = $batch and churn_hz = $churn_hz
            and list_contains($cpus, cpus) order by cpus
            """,
            batch=ask.usual("batch"),
            churn_hz=ask.usual("churn_hz"),
            cpus=cpus,
        )
        for row in sorted(rows, key=lambda row: list(DESIGNS).index(row["design"])):
            name = Text(row["design"] if row["cpus"] == cpus[0] else "", color(row["design"]))
            cells = (ask.say("debate", figure, row[figure]) for figure in figures)
            table.add_row(name, f"{row['cpus']}", *cells, end_section=row["cpus"] == cpus[-1])
    return table


def _prices(asked: Sequence[Answers]) -> Table:
    """One row per setting, price table and batch, at the CPU count where the atomic costs most."""
    figures = ("atomic_ns", "percpu_ns", "percpu_gives_back_ns", "batching_gives_back_ns")
    table = _empty(
        "prices", "grade", "batch", "over 5 % at", "most at", "atomic", "per-CPU", "refs save", "batch saves"
    )
    for ask in asked:
        _section(table, ask)
        rows = ask.rows(
            """
            from prices where setting = $setting and list_contains($batches, batch)
            qualify row_number() over (
                partition by host_prices, atomic_design, percpu_design, batch order by percpu_gives_back_ns desc, cpus
            ) = 1
            order by host_prices, atomic_design, percpu_design, batch
            """,
            batches=few(ask.axis("batch"), PRICE_ROWS),
        )
        for row in rows:
            span = dict.fromkeys(str(row[end]) for end in ("matters_from_cpus", "matters_to_cpus") if row[end])
            cells = (ask.say("prices", name, row[name]) for name in figures)
            where = (f"{row['batch']}", "-".join(span) or "never", f"{row['cpus']}")
            table.add_row(row["host_prices"], row["host_grade"], *where, *cells)
    return table


def _section(table: Table, ask: Answers) -> None:
    if ask.setting:
        table.add_section()
        table.add_row(Text(ask.setting, "bold"))


def _of(ask: Answers, reading: str) -> str:
    return f"{ask.setting}: {reading}" if ask.setting else reading


def _best(ask: Answers) -> RenderableType:
    """Maps of the best design over CPUs and churn, one for each measure, side by side."""
    batch = ask.usual("batch")
    rows = ask.rows("from crossover where setting = $setting and batch = $batch", batch=batch)
    cpus, churn = ask.axis("cpus"), few(ask.axis("churn_hz"), FIGURES)
    letters = dict(zip(ask.axis("design"), LETTERS, strict=False))
    maps = []
    for measure in sorted({row["measure"] for row in rows}):
        winners = {(row["cpus"], row["churn_hz"]): row["best_design"] for row in rows if row["measure"] == measure}
        table = _empty("cpus", f"least {measure}")
        for n in cpus:
            won = (winners.get((n, hz), "") for hz in churn)
            table.add_row(f"{n}", Text(" ").join(Text(letters.get(name, "-"), color(name)) for name in won))
        maps.append(table)
    legend = Text("   ").join(Text(f"{letter} {name}", color(name)) for name, letter in letters.items())
    return _titled(
        f"Best design by CPUs (down) and churn (across: {', '.join(map(three_digits, churn))} Hz), at batch {batch}",
        readings.crossover(ask),
        Group(Columns(maps, padding=(0, 4)), legend),
    )


def _pivot(
    ask: Answers,
    mart: str,
    figure: str,
    across: str,
    unit: str,
    *,
    over: str = "avg",
    most: int = FIGURES,
) -> Table:
    """One row per design (and CPU count, unless that goes across), one column per value of an axis."""
    by_cpus = across == "cpus"
    places = few(ask.axis(across), most)
    cpus = [None] if by_cpus else few(ask.axis("cpus"), CPU_ROWS)
    query = f"""
        select design, {"null" if by_cpus else "cpus"} as cpus, {across} as place, {over}({figure}) as figure
        from {mart} where setting = $setting group by all
    """
    found = {(row["design"], row["cpus"], row["place"]): row["figure"] for row in ask.rows(query)}
    table = _empty("design", *(() if by_cpus else ("cpus",)), *(three_digits(place) + unit for place in places))
    for design in ask.axis("design"):
        for n in cpus:
            cells = (ask.say(mart, figure, found.get((design, n, place))) for place in places)
            name = Text(design if n == cpus[0] else "", color(design))
            table.add_row(name, *(() if n is None else (f"{n}",)), *cells, end_section=n == cpus[-1] and len(cpus) > 1)
    return table


def _empty(first: str, *others: str) -> Table:
    table = Table(
        box=box.SIMPLE_HEAD,
        pad_edge=False,
        padding=(0, 1, 0, 0),
        title_justify="left",
        title_style="italic",
        header_style="bold",
    )
    table.add_column(first, no_wrap=True)
    for head in others:
        table.add_column(head, justify="right", no_wrap=True)
    return table


def _titled(title: str, reading: str, table: RenderableType) -> RenderableType:
    return Group(Text(title, "bold"), Text(reading, "italic"), table, Text())
