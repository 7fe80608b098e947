"""One host on one screen: what its dying cgroups hold, now and later, and what each upgrade would give back."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich import box
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from analysis.db import connect
from analysis.run import InputError, Run, open_run
from analysis.units import three_digits

GIB, MIB = 2**30, 2**20
LEAST_GIB = 0.1  # below which a host's memory is told in MiB
SCREEN_COLUMNS = 100  # characters, where there is no terminal
STANDING_D = (0.0, 7.0, 30.0)
WITHIN = 0.95  # of the draws lie in an interval
FLEET = ("host", "run", "count")  # columns of --fleet that are known; the first is needed
Draws = NDArray[np.float64]  # a value a draw; what draws of one number share is a difference of pairs


@dataclass(frozen=True)
class Forecast:
    """The forecast of one run of +experiment=host."""

    run: Run
    rows: Mapping[tuple[int, float], Mapping[str, Any]]  # by step and days ahead: kernel, design, draws by column
    fit: Sequence[Mapping[str, Any]]

    @classmethod
    def of(cls, run: Run) -> Forecast:
        """Read a run; raise InputError if it is of another experiment."""
        if not {"fit", "forecast"} <= run.tables().keys():
            raise InputError(f"RUN must be of +experiment=host (got {run.url!r}, which has no forecast)")
        con = connect(run)
        columns = ("dying_memcgs", "dead_bytes", "total_bytes", "held_back")
        listed = ", ".join(f"list({name} order by draw)" for name in columns)
        query = f"select step, ahead_d, any_value(kernel), any_value(design), {listed} from forecast group by 1, 2"
        rows = {
            (step, ahead_d): {"kernel": kernel, "design": design}
            | {name: np.array(values, dtype=np.float64) for name, values in zip(columns, lists, strict=True)}
            for step, ahead_d, kernel, design, *lists in con.sql(query).fetchall()
        }
        fit = con.sql("from fit order by number")
        return cls(run, rows, [dict(zip(fit.columns, row, strict=True)) for row in fit.fetchall()])

    @cached_property
    def steps(self) -> list[int]:
        """The upgrade steps, in order."""
        return sorted({step for step, _ in self.rows if step})

    @cached_property
    def days(self) -> list[float]:
        """The days ahead."""
        return sorted({ahead_d for _, ahead_d in self.rows})

    def gives_back(self, step: int, ahead_d: float) -> Draws:
        """Bytes that a step's kernel would not hold, on the same events."""
        return np.asarray(self.rows[0, ahead_d]["dead_bytes"] - self.rows[step, ahead_d]["dead_bytes"])

    @cached_property
    def unit(self) -> tuple[int, str]:
        """Bytes and name of the unit that the host's memory is told in."""
        most = max(float(np.median(row["dead_bytes"])) for (step, _), row in self.rows.items() if step == 0)
        return (GIB, "GiB") if most >= LEAST_GIB * GIB else (MIB, "MiB")

    def best(self) -> int | None:
        """The first step than which no later one is told to give back more in the longest time; None without a step."""
        far = self.days[-1]
        for step in self.steps:
            more = [self.gives_back(later, far) - self.gives_back(step, far) for later in self.steps if later > step]
            if all(_ends(extra)[0] <= 0 for extra in more):
                return step
        return None


def screen(host: Forecast) -> Iterator[RenderableType]:
    """What one host's run says, on one screen."""
    own = host.rows[0, host.days[0]]
    seen = {row["quantity"]: row for row in host.fit}
    cpus, possible = seen["CPUs, online"]["estimate"], seen["CPUs, possible"]["estimate"]
    nodes, (_, unit) = seen["NUMA nodes"]["estimate"], host.unit
    yield Text(
        f"{own['kernel']} ({own['design']}), {cpus:g} CPUs online, {possible:g} possible, "
        f"{nodes:g} node{'s' * (nodes != 1)}, {three_digits(seen['memory']['estimate'])} GiB; "
        f"{seen['kernel']['note']}; cgroups leave what those of workload "
        f"{host.run.manifest['config']['workload']['name']} do, scaled"
    )
    yield _titled("Dying cgroups on this kernel, and what they hold (95 % intervals)", _own(host))
    if host.steps:
        yield _titled(f"What each upgrade gives back of it, {unit}, on the same events", _upgrades(host))
    if held := _held_back(host):
        yield _titled("Dying cgroups held back from the fit", held)
    yield _titled("What was fitted", _fit(host))
    for line in sentences(host):
        yield Text(line)


def sentences(host: Forecast) -> Iterator[str]:
    """What one would forward."""
    own, far = host.rows[0, host.days[0]], host.days[-1]
    now, later = own["dead_bytes"], host.rows[0, far]["dead_bytes"]
    size, unit = host.unit
    yield (
        f"On {own['kernel']} this host holds {_span(now / size)} {unit} in {_span(own['dying_memcgs'])} dying cgroups; "
        f"after {far:g} more days of the same churn, {_span(later / size)} {unit}."
    )
    if (step := host.best()) is None:
        return
    back, kernel = host.gives_back(step, far), host.rows[step, far]["kernel"]
    low, high = _ends(back)
    if low > 0:
        then = "" if step == host.steps[-1] else ", and no later kernel is told to give back more"
        yield f"{kernel} would give back {_span(back / size)} {unit} of it{then}."
    else:
        said = "an interval that holds 0" if high >= 0 else "so it would hold more"
        yield f"No upgrade is told to give any back: {kernel} gives back {_span(back / size)} {unit}, {said}."


def fleet(host: Forecast, path: Path) -> Table:
    """A row a host of a CSV, and their sum. Columns: host; run (default: the run asked for); count (default 1)."""
    rows = _read_fleet(path)
    table = _table("host", "hosts", "kernel", "upgrade to", "now", "in 7 days", "in 30 days", "given back in 30 days")
    sums: dict[str, Draws] = {}
    runs: dict[str, Forecast] = {"": host}
    for row in rows:
        where = row.get("run") or ""
        if where not in runs:
            runs[where] = Forecast.of(open_run(where))
        its = runs[where]
        count, step = _count(row, path), its.best()
        held = {f"{days:g}": its.rows[0, days]["dead_bytes"] * count for days in STANDING_D}
        held["back"] = its.gives_back(step, 30.0) * count if step is not None else np.zeros(held["0"].size)
        to = its.rows[step, 30.0]["kernel"] if step is not None else "-"
        table.add_row(
            row["host"], str(count), its.rows[0, 0.0]["kernel"], to, *(_span(draws / GIB) for draws in held.values())
        )
        order = np.random.default_rng(list(runs).index(where)).permutation(held["0"].size)
        for name, draws in held.items():
            # draws of one run are of one host, so they add up; those of two runs are independent of each other
            sums[name] = sums.get(name, 0.0) + draws[order]
    total = sum(_count(row, path) for row in rows)
    table.add_section()
    table.add_row("sum, GiB", str(total), "", "", *(_span(draws / GIB) for draws in sums.values()))
    return table


def _read_fleet(path: Path) -> list[dict[str, str]]:
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            rows = list(reader)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"--fleet must be a CSV file (got {str(path)!r}: {error})") from error
    names = reader.fieldnames or []
    unknown = [name for name in names if name not in FLEET]
    if "host" not in names or unknown or not rows:
        raise InputError(
            f"--fleet must have rows, a column host, and if need be run and count (got {', '.join(names) or 'nothing'} "
            f"in {str(path)!r}, {len(rows)} rows); mend the header"
        )
    return rows


def _count(row: Mapping[str, str], path: Path) -> int:
    text = row.get("count") or "1"
    if not text.isdecimal():
        raise InputError(f"--fleet must have whole numbers in column count (got {text!r} in {str(path)!r}); correct it")
    return int(text)


def _own(host: Forecast) -> Table:
    table = _table("", *(_when(days) for days in STANDING_D))
    at = [host.rows[0, days] for days in STANDING_D]
    table.add_row("dying cgroups", *(_span(row["dying_memcgs"]) for row in at))
    size, unit = host.unit
    table.add_row(f"memory, {unit}", *(_span(row["dead_bytes"] / size) for row in at))
    return table


def _upgrades(host: Forecast) -> Table:
    table = _table("upgrade to", *(_when(days) for days in STANDING_D), "dying in 30 days")
    for step in host.steps:
        row = host.rows[step, 30.0]
        back = [_span(host.gives_back(step, days) / host.unit[0]) for days in STANDING_D]
        table.add_row(row["kernel"], *back, _span(row["dying_memcgs"]))
    return table


def _held_back(host: Forecast) -> Table | None:
    found = [(key, row) for key, row in sorted(host.rows.items()) if np.isfinite(row["held_back"]).any()]
    if not found:
        return None
    table = _table("kernel", "days ahead", "forecast", "held back", "in the interval")
    for (_, days), row in found:
        low, high = _ends(row["dying_memcgs"])
        value = row["held_back"][0]
        said = "yes" if low <= value <= high else "no"
        table.add_row(row["kernel"], f"{days:.3g}", _span(row["dying_memcgs"]), three_digits(value), said)
    return table


def _fit(host: Forecast) -> Table:
    table = _table("quantity", "estimate", "")
    for row in host.fit:
        if row["estimate"] is None:
            continue
        unit = "" if row["unit"] == "1" else f", {row['unit']}"
        middle, low, high = (_short(row[name]) for name in ("estimate", "low", "high"))
        table.add_row(f"{row['quantity']}{unit}", middle if low == high else f"{middle} ({low} to {high})", row["note"])
    return table


def _when(days: float) -> str:
    return "now" if days == 0 else f"in {days:g} days"


def _ends(draws: Draws) -> tuple[float, float]:
    low, high = np.quantile(draws, [(1 - WITHIN) / 2, (1 + WITHIN) / 2])
    return float(low), float(high)


def _span(draws: Draws) -> str:
    """Median and interval of draws, as '12 (9 to 15)'."""
    middle, low, high = (_short(value) for value in (float(np.median(draws)), *_ends(draws)))
    return middle if low == high else f"{middle} ({low} to {high})"


def _short(value: float) -> str:
    """Two digits, which is more than an interval bears; whole numbers in full."""
    return three_digits(float(f"{value:.2g}")) if abs(value) < 100 else three_digits(value)


def _titled(title: str, table: Table) -> RenderableType:
    table.title, table.title_justify, table.title_style = title, "left", "bold"
    return table


def _table(*columns: str) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for number, name in enumerate(columns):
        table.add_column(Text(name), justify="left" if number == 0 else "right", overflow="fold")
    return table
