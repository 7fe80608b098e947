"""The answers of a run as sheets: what each table of a run says, whatever it is then written as."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from analysis import readings
from analysis.answers import Answer, Answers, few
from analysis.measures import COMPARED, TIE_RULE, head, title
from analysis.units import three_digits

PLACES = 4  # values of an axis across a sheet unless more are asked for
CPU_ROWS = 3  # CPU counts down a sheet unless others are asked for
AXIS_COUNTS = {"cpus": "CPU counts", "batch": "batches", "churn_hz": "churn rates"}
DIMENSIONS = ("setting", "design", *AXIS_COUNTS)
SIDE_BY_SIDE = (
    *("dead_bytes_end", "lost_bytes_end", "total_bytes_end", "dying_memcgs_end"),
    *("atomics_per_charge", "atomics_per_uncharge", "refs_per_page", "locks_per_page", "ns_per_object"),
    *("rmdir_caller_us", "offline_background_us", "inherited_bytes_mean", "over_half_limit_share"),
)
MEMINFO = (
    *("percpu_bytes_dead", "sreclaimable_bytes_dead", "sunreclaim_bytes_dead"),
    *("num_cgroups_end", "visited_memcgs_end"),
)
SELDOM = {"inherited_bytes_mean", "over_half_limit_share"}  # shown only where a design has any
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


@dataclass(frozen=True)
class Estimate:
    """A mean of a column at one place of the grid, half its interval, and whether the host ran out of memory there."""

    column: str
    value: float | None
    half_width: float | None = None
    out_of_memory: bool = False
    at: Answer = field(default_factory=dict)


Entry = Estimate | str


@dataclass(frozen=True)
class Line:
    """One row: its keys, and a cell per column. design: whose colour it has. section: lines alike stand together."""

    keys: tuple[str, ...]
    cells: tuple[Entry, ...]
    design: str = ""
    section: str = ""


@dataclass
class Sheet:
    """One table with what it says. keys, columns: heads. ask: whose units its figures have."""

    name: str
    title: str
    reading: str
    keys: tuple[str, ...]
    columns: tuple[str, ...]
    ask: Answers
    lines: list[Line]
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Shown:
    """Values of the axes that the user asked for; empty means a choice that includes the configured one."""

    cpus: Sequence[int] = ()
    batch: Sequence[int] = ()
    churn_hz: Sequence[float] = ()

    def of(self, ask: Answers, axis: str, most: int) -> list[Any]:
        """The values of an axis that a sheet shows, ascending."""
        there, asked = ask.axis(axis), getattr(self, axis)
        if asked:
            return [value for value in there if value in asked]
        own = getattr(ask.point, axis)
        return few(there, most, own) if most > 1 else [own]


def sheets(asked: Sequence[Answers], shown: Shown) -> Iterator[Sheet]:
    """Every sheet of a run that has something to say, in the order in which a reader asks."""
    for sheet in _all(asked, shown):
        if sheet is not None and sheet.lines:
            if sheet.ask.setting and len({line.section for line in sheet.lines}) == 1:
                # one setting stands above the lines, not in each of them
                sheet.title += f" [{sheet.ask.setting}]"
                sheet.lines = [replace(line, section="") for line in sheet.lines]
            yield sheet


def _all(asked: Sequence[Answers], shown: Shown) -> Iterator[Sheet | None]:
    yield _debate(asked, shown)
    yield _meminfo(asked, shown)
    yield _upgrades(asked)
    yield _prices(asked, shown)
    for ask in asked:
        yield _pivot(ask, shown, "memory", "dead_bytes_end", across="churn_hz", reading=readings.memory(ask))
        yield _pivot(ask, shown, "dying", "dying_memcgs_end", across="churn_hz", reading=readings.dying(ask))
        yield _pivot(ask, shown, "atomics", "atomics_per_page_charge", across="batch", reading=readings.atomics(ask))
        yield _pivot(ask, shown, "time", "ns_per_object", across="cpus", reading=readings.time(ask))
        yield _batches(ask, shown)
        yield _best(ask, shown)
        yield _pareto(ask, shown)


def _side_by_side(
    asked: Sequence[Answers], shown: Shown, name: str, heading: str, *, figures: Sequence[str], said: str
) -> Sheet:
    """One line per setting, design and place; a column per figure that any has."""
    found = [
        (ask, row)
        for ask in asked
        for row in _by_design(ask.every_figure({axis: shown.of(ask, axis, 1) for axis in AXIS_COUNTS}))
    ]
    columns = [
        column
        for column in figures
        if any(row.get(column) if column in SELDOM else row.get(column) is not None for _, row in found)
    ]
    varying = _varying(row for _, row in found)
    return Sheet(
        name=name,
        title=f"{heading}{_at(found[0][1] if found else None, varying)}",
        reading=said,
        keys=("design", *map(_key, varying)),
        columns=tuple(map(head, columns)),
        ask=asked[0],
        lines=[
            Line(
                (row["design"], *_values(row, varying)),
                tuple(_figure(ask, row, column) for column in columns),
                row["design"],
                ask.setting,
            )
            for ask, row in found
            if columns
        ],
        notes=_not_shown(asked[0], [row for _, row in found]),
    )


def _debate(asked: Sequence[Answers], shown: Shown) -> Sheet:
    """A figure per thing that the designs were argued about."""
    said = "\n".join(_of(ask, reading) for ask in asked if (reading := readings.debate(ask)))
    return _side_by_side(asked, shown, "debate", "The designs side by side", figures=SIDE_BY_SIDE, said=said)


def _meminfo(asked: Sequence[Answers], shown: Shown) -> Sheet:
    """What of it an operator reads in /proc."""
    said = "Of gone memcgs: their part of Percpu, SReclaimable and SUnreclaim in /proc/meminfo."
    return _side_by_side(asked, shown, "meminfo", "As operators see it", figures=MEMINFO, said=said)


def _upgrades(asked: Sequence[Answers]) -> Sheet:
    """One line per kernel now and kernel then."""
    columns = {
        "given_back_bytes": "dead memory given back",
        "given_back_memcgs": "dying memcgs fewer",
        "saved_atomics_share": "atomics saved",
        "saved_ns": "time/object saved",
    }
    lines = [
        Line(
            tuple(f"{row[f'{end}_kernel']} {row[f'{end}_design']} {row[f'{end}_batch']}" for end in ("from", "to")),
            tuple(Estimate(name, row[name], row.get(f"{name}_pm"), at={"setting": ask.setting}) for name in columns),
            section=row["elsewhere"],
        )
        for ask in asked
        for row in ask.upgrades
    ]
    said = "\n".join(_of(ask, reading) for ask in asked if (reading := readings.upgrade(ask)))
    keys = ("from kernel, design, batch", "to kernel, design, batch")
    return Sheet("upgrade", "From kernel to kernel", said, keys, tuple(columns.values()), asked[0], lines)


def _prices(asked: Sequence[Answers], shown: Shown) -> Sheet:
    """One line per setting, price table and batch, at the configured CPU count."""
    columns = {
        "atomic_ns": "atomic",
        "percpu_ns": "per-CPU",
        "percpu_gives_back_ns": "refs save",
    }
    if any(len(ask.axis("batch")) > 1 for ask in asked):
        columns["batching_gives_back_ns"] = "batch saves"
    lines = []
    for ask in asked:
        rows = ask.rows(
            """
            from prices where setting = $setting and list_contains($batches, batch) and list_contains($cpus, cpus)
            order by all
            """,
            batches=shown.of(ask, "batch", CPU_ROWS),
            cpus=shown.of(ask, "cpus", 1),
        )
        for row in rows:
            span = dict.fromkeys(str(row[end]) for end in ("matters_from_cpus", "matters_to_cpus") if row[end])
            keys = (f"{row['host_prices']} ({row['host_grade']})", f"{row['cpus']}", f"{row['batch']}")
            figures = (Estimate(name, row[name], row[f"{name}_pm"], at=_place(ask, row)) for name in columns)
            lines.append(Line(keys, (*figures, "-".join(span) or "never"), section=ask.setting))
    said = "\n".join(_of(ask, reading) for ask in asked if (reading := readings.prices(ask)))
    heads = (*columns.values(), "over 5 % at")
    name = "What an atomic reference per slab page costs, and what remedies give back, per page charge"
    notes = ["over 5 % at: CPU counts where the atomic makes a page charge more than 5 % dearer"]
    return Sheet("prices", name, said, ("prices", "CPUs", "batch"), heads, asked[0], lines, notes)


def _pivot(ask: Answers, shown: Shown, name: str, column: str, *, across: str, reading: str) -> Sheet | None:
    """One line per design (and CPU count, unless that goes across), one column per value of an axis."""
    if len(ask.axis(across)) == 1:
        across = "cpus"
    if len(ask.axis(across)) == 1:
        return None  # the designs side by side say it
    most = dict.fromkeys(AXIS_COUNTS, 1) | {"cpus": CPU_ROWS} | {across: PLACES}
    rows = [row for row in _cells(ask, shown, most) if row["design"] in ask.axis("design")]
    varying = [axis for axis in _varying(rows) if axis != across]
    places = sorted({row[across] for row in rows})
    grid: dict[tuple[Any, ...], dict[Any, Estimate]] = {}
    for row in rows:
        line = grid.setdefault((row["design"], *(row[axis] for axis in varying)), {})
        line[row[across]] = _figure(ask, row, column)
    unit = {"churn_hz": "{} Hz", "batch": "batch {}", "cpus": "{} CPUs"}[across]
    return Sheet(
        name=name,
        title=f"{title(column)[:1].upper()}{title(column)[1:]}{_at(rows[0] if rows else None, [*varying, across])}",
        reading=reading,
        keys=("design", *(_key(axis) for axis in varying)),
        columns=tuple(unit.format(three_digits(place)) for place in places),
        ask=ask,
        lines=[
            Line(
                (keys[0], *map(three_digits, keys[1:])),
                tuple(figures.get(place, Estimate(column, None)) for place in places),
                keys[0],
            )
            for keys, figures in grid.items()
        ],
        notes=_not_shown(ask, rows),
    )


def _batches(ask: Answers, shown: Shown) -> Sheet | None:
    """One line per design and batch: atomics against what stocks hold, the Pareto set marked."""
    if len(ask.axis("batch")) == 1:
        return None
    rows = ask.rows(
        """
        from batch_choice where setting = $setting and list_contains($cpus, cpus) and list_contains($churn, churn_hz)
        order by design, cpus, churn_hz, batch
        """,
        cpus=shown.of(ask, "cpus", 1),
        churn=shown.of(ask, "churn_hz", 1),
    )
    rows = [row for row in _by_design(rows) if not shown.batch or row["batch"] in shown.batch]
    varying = [axis for axis in _varying(rows) if axis != "batch"]
    counted = any(row["stocked_bytes_mean"] is not None for row in rows)
    columns = ("atomics_per_page_charge", *(("stocked_bytes_mean",) if counted else ()), "saved_share")
    return Sheet(
        name="batch",
        title=f"What a larger charge batch saves and holds{_at(rows[0] if rows else None, [*varying, 'batch'])}",
        reading=readings.batch(ask),
        keys=("design", *map(_key, varying), "batch"),
        columns=("atomics/page", *(("in stocks",) if counted else ()), "saved", "marks"),
        ask=ask,
        lines=[
            Line(
                (row["design"], *_values(row, varying), f"{row['batch']}"),
                (
                    *(_figure(ask, row, column) for column in columns),
                    " ".join(mark for mark in ("enough", "pareto") if row[mark]),
                ),
                row["design"],
            )
            for row in rows
        ],
        notes=[
            "enough: the smallest within 5 % of the fewest atomics; saved: of the atomics of the smallest batch",
            *(["pareto: no other batch has both fewer atomics and less in stocks"] if counted else []),
        ],
    )


def _best(ask: Answers, shown: Shown) -> Sheet | None:
    """The best design over CPUs (down) and churn (across), by measure, as letters; several where not told apart."""
    if len(ask.axis("design")) == 1:
        return None
    batch = shown.of(ask, "batch", 1)
    rows = ask.rows(
        "from crossover where setting = $setting and list_contains($batch, batch) order by measure, batch, cpus",
        batch=batch,
    )
    churn = shown.of(ask, "churn_hz", PLACES * 2)
    cpus = shown.of(ask, "cpus", len(ask.axis("cpus")))
    letters = dict(zip(ask.axis("design"), LETTERS, strict=False))
    won: dict[tuple[str, ...], dict[float, str]] = {}
    for row in rows:
        if row["cpus"] in cpus:
            names = [name for name in letters if name == row["best_design"] or name in row["tied"]]
            keys = (head(row["measure"]), *([f"{row['batch']}"] if len(batch) > 1 else []), f"{row['cpus']}")
            won.setdefault(keys, {})[row["churn_hz"]] = "".join(letters[name] for name in names)
    shown_rows = [row for row in rows if row["cpus"] in cpus and row["churn_hz"] in churn]
    return Sheet(
        name="best",
        title=f"The best design by CPUs (down) and churn (across){_at({'batch': batch[0]}, ('cpus', 'churn_hz'))}",
        reading=readings.best_by_cpus(ask),
        keys=("least", *(["batch"] if len(batch) > 1 else []), "CPUs"),
        columns=tuple(f"{three_digits(hz)} Hz" for hz in churn),
        ask=ask,
        lines=[Line(keys, tuple(line.get(hz, "-") for hz in churn)) for keys, line in won.items()],
        notes=[
            ", ".join(f"{letter} {name}" for name, letter in letters.items()),
            f"Several letters: {TIE_RULE[:1].lower()}{TIE_RULE[1:]}",
            *_not_shown(ask, shown_rows, ("cpus", "churn_hz")),
        ],
    )


def _pareto(ask: Answers, shown: Shown) -> Sheet | None:
    """One line per design: memory, atomics and time, and who is better in one and worse in none."""
    if len(ask.axis("design")) == 1:
        return None
    columns = COMPARED
    lists = {axis: shown.of(ask, axis, 1) for axis in AXIS_COUNTS}
    where = " and ".join(f"list_contains(${axis}, {axis})" for axis in AXIS_COUNTS)
    rows = _by_design(ask.rows(f"from pareto where setting = $setting and {where} order by all", **lists))
    varying = _varying(rows)
    return Sheet(
        name="pareto",
        title=f"Memory against atomics against time{_at(rows[0] if rows else None, varying)}",
        reading=readings.pareto(ask),
        keys=("design", *map(_key, varying)),
        columns=(*map(head, columns), "beaten by"),
        ask=ask,
        lines=[
            Line(
                (row["design"], *_values(row, varying)),
                (*(_figure(ask, row, column) for column in columns), ", ".join(row["dominated_by"]) or "none"),
                row["design"],
            )
            for row in rows
        ],
        notes=[f"Beaten: another design is better in one of the three and in none worse. {TIE_RULE}"],
    )


def _cells(ask: Answers, shown: Shown, most: dict[str, int]) -> list[Answer]:
    """Held rows of `cells` at the values of the axes that are shown, in the order of the registry."""
    lists = {axis: shown.of(ask, axis, n) for axis, n in most.items()}
    where = " and ".join(f"list_contains(${axis}, {axis})" for axis in lists)
    query = f"from cells where setting = $setting and {where} order by design, cpus, batch, churn_hz"
    return _by_design(ask.rows(query, **lists))


def _by_design(rows: list[Answer]) -> list[Answer]:
    from core.designs import DESIGNS

    order = {name: place for place, name in enumerate(DESIGNS)}
    return sorted(rows, key=lambda row: order.get(row["design"], len(order)))


def _figure(ask: Answers, row: Answer, column: str) -> Estimate:
    out = bool(row.get("out_of_memory"))
    return Estimate(column, row[column], row.get(f"{column}_pm"), out, _place(ask, row))


def _place(ask: Answers, row: Answer) -> Answer:
    return {"setting": ask.setting} | {name: row[name] for name in DIMENSIONS if name in row and name != "setting"}


def _varying(rows: Iterable[Answer]) -> list[str]:
    """Axes that have more than one value in these rows."""
    seen: dict[str, set[Any]] = {axis: set() for axis in AXIS_COUNTS}
    for row in rows:
        for axis, values in seen.items():
            values.add(row[axis])
    return [axis for axis, values in seen.items() if len(values) > 1]


def _values(row: Answer, axes: Iterable[str]) -> tuple[str, ...]:
    return tuple(three_digits(row[axis]) for axis in axes)


def _key(axis: str) -> str:
    return {"cpus": "CPUs", "churn_hz": "churn, Hz"}.get(axis, axis)


def _at(row: Answer | None, varying: Iterable[str]) -> str:
    """', at 64 CPUs, batch 64, 0.01 Hz': what the lines of a sheet have in common."""
    values = {axis: row[axis] for axis in AXIS_COUNTS if row and axis in row and axis not in set(varying)}
    says = {"cpus": "{} CPUs", "batch": "batch {}", "churn_hz": "{} Hz"}
    said = [says[axis].format(three_digits(value)) for axis, value in values.items()]
    return f", at {', '.join(said)}" if said else ""


def _not_shown(ask: Answers, rows: Sequence[Answer], axes: Iterable[str] = AXIS_COUNTS) -> list[str]:
    """How many values of the axes a sheet leaves out, and how to ask for them."""
    left = []
    for axis in axes:
        there = ask.axis(axis)
        if hidden := len(there) - len({row[axis] for row in rows} & {*there}):
            option = {"cpus": "--cpus", "batch": "--batch", "churn_hz": "--churn"}[axis]
            left.append(f"{hidden} of {len(there)} {AXIS_COUNTS[axis]} ({option} A,B or all)")
    return [f"Not shown: {'; '.join(left)}."] if left else []


def _of(ask: Answers, reading: str) -> str:
    return f"{ask.setting}: {reading}" if ask.setting else reading
