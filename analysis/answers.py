"""Questions to the marts about one setting, and figures as text with the unit that the run's own metadata gives."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import duckdb

from analysis.db import GRID
from analysis.marts import marts
from analysis.measures import MEASURES
from analysis.units import human
from core.designs import DESIGNS

Answer = dict[str, Any]
SHOWN = (*GRID, "out_of_memory", "host_prices", "host_grade", "knee_cpus", *MEASURES, "ns_per_object_.*")  # of cells
# the point of a setting nearest to the configured one, in ratios; what the config leaves to the kernel is its own
NEAREST = """
with asked as (
    select try_cast(max(value) filter (key = 'config.cpus') as double) as cpus,
           coalesce(try_cast(max(value) filter (key = 'config.batch') as double),
                    try_cast(max(value) filter (key = 'config.kernel.charge_batch_pages') as double)) as batch,
           try_cast(max(value) filter (key = 'config.churn_hz') as double) as churn_hz
    from manifest
)
select c.cpus, c.batch, c.churn_hz
from cells as c, asked where setting = $setting
group by c.cpus, c.batch, c.churn_hz, asked.cpus, asked.batch, asked.churn_hz
order by {asked_for}
         coalesce(abs(ln(c.cpus / nullif(asked.cpus, 0))), 0) + coalesce(abs(ln(c.batch / nullif(asked.batch, 0))), 0)
         + coalesce(abs(ln(nullif(c.churn_hz, 0) / nullif(asked.churn_hz, 0))), 0),
         bool_or(own) desc, count(*) desc, c.cpus, c.batch, c.churn_hz
limit 1
"""


@dataclass(frozen=True)
class GridPoint:
    """One point of the grid of a setting."""

    cpus: int
    batch: int
    churn_hz: float


@dataclass(frozen=True)
class Answers:
    """What one setting of a run has to say.

    units: of every column of the run's tables. asked_for: values of axes of which the configured point has one each.
    """

    con: duckdb.DuckDBPyConnection
    setting: str
    units: dict[str, str]
    asked_for: Mapping[str, Sequence[float]] = field(default_factory=dict)

    def rows(self, query: str, **values: Any) -> list[Answer]:
        """Rows of a query about `$setting` as dicts."""
        result = self.con.execute(query, {"setting": self.setting} | values)
        names = [column[0] for column in result.description]
        return [dict(zip(names, row, strict=True)) for row in result.fetchall()]

    def axis(self, column: str) -> list[Any]:
        """The values of an axis, ascending; designs in the order of the registry, without those that do not account."""
        return list(self._axes[column])

    @cached_property
    def _axes(self) -> dict[str, list[Any]]:
        listed = ", ".join(f"list_sort(list(distinct {column})) as {column}" for column in GRID)
        [axes] = self.rows(f"select {listed} from cells where setting = $setting")
        designs = [name for name, design in DESIGNS.items() if name in axes["design"] and design.accounts]
        return axes | {"design": designs}

    @cached_property
    def point(self) -> GridPoint:
        """The point of the grid that is nearest to the configured one."""
        first = [f"not list_contains(${axis}, c.{axis})," for axis in self.asked_for]
        [row] = self.rows(NEAREST.format(asked_for=" ".join(first)), **self.asked_for)
        return GridPoint(**row)

    @cached_property
    def replicates(self) -> int:
        """The fewest rows that a mean of this setting is of."""
        [row] = self.rows("select min(replicates) as n from cells where setting = $setting")
        return int(row["n"])

    @cached_property
    def told(self) -> dict[tuple[str, str, str], int]:
        """At the configured point: 1, -1 or 0 by measure and two designs, as sql/uncertainty.sql tells them apart."""
        rows = self.at_point("main.uncertainty")  # of all measures, which are held of few
        return {(row["measure"], row["design"], row["against"]): row["told"] for row in rows}

    @cached_property
    def cells(self) -> list[Answer]:
        """The cells at the configured point, of designs that account."""
        rows = self.every_figure({axis: [value] for axis, value in vars(self.point).items()})
        return [row for row in rows if row["design"] in self.axis("design")]

    def every_figure(self, places: Mapping[str, Sequence[Any]]) -> list[Answer]:
        """The cells at some places with all that is shown of a cell, which is more than is held: asked once."""
        key = str(sorted(places.items()))
        if key not in self._every_figure:
            where = " and ".join(f"list_contains(${axis}, {axis})" for axis in places)
            query = (
                f"select columns('^({'|'.join(SHOWN)})(_pm)?$') from main.cells where setting = $setting and {where}"
            )
            self._every_figure[key] = self.rows(f"{query} order by design, cpus, batch, churn_hz", **places)
        return self._every_figure[key]

    @cached_property
    def _every_figure(self) -> dict[str, list[Answer]]:
        return {}

    @cached_property
    def upgrades(self) -> list[Answer]:
        """Rows of `upgrade` from this setting's kernel to every other, at the configured point."""
        if "kernel=" not in self.setting:
            return []  # one kernel was swept
        return self.rows(
            """
            from upgrade
            where from_kernel <> to_kernel and cpus = $cpus and churn_hz = $churn_hz and from_batch = $batch
              and (from_kernel, elsewhere) in (select distinct (kernel, elsewhere) from points where setting = $setting)
              and from_design in (select name from designs where accounts)
              and to_design in (select name from designs where accounts)
              and (from_design = to_design or from_design not in (select design from points where kernel = to_kernel))
            order by all
            """,
            **vars(self.point),
        )

    def at_point(self, mart: str) -> list[Answer]:
        """The rows of a mart at the configured point."""
        query = f"from {mart} where setting = $setting and cpus = $cpus and batch = $batch and churn_hz = $churn_hz"
        return self.rows(query, **vars(self.point))

    def say(self, column: str, value: float | None, half_width: float | None = None, plus_minus: str = " ±") -> str:
        """A figure of a column with its unit, and with half its interval if there is one."""
        return human(value, self.unit(column), half_width, plus_minus)

    def unit(self, column: str) -> str:
        """The unit of a column of points or of a mart."""
        if column.endswith("_share"):
            return "%"
        return self.units.get(MADE.get(column, column), "B" if "_bytes_" in column else "1")


MADE = {name: made.unit_of for mart in marts().values() for name, made in mart.columns.items()}


def answers(con: duckdb.DuckDBPyConnection) -> list[Answers]:
    """One per setting of the run in which a design that accounts was swept."""
    units = dict(con.execute("""select "column", unit from units where unit is not null""").fetchall())
    settings = con.execute(
        "select distinct setting from cells where design in (select name from designs where accounts) order by all"
    ).fetchall()
    return [Answers(con, setting, units) for (setting,) in settings]


def few(values: Sequence[Any], most: int, keep: Any = None) -> list[Any]:
    """At most `most` of ascending `values`, evenly spread, with the largest and `keep` always among them."""
    if len(values) <= most:
        return list(values)
    last = len(values) - 1
    kept = [last - round(place * last / max(most - 1, 1)) for place in reversed(range(most))]
    if keep in values and (wanted := values.index(keep)) not in kept:
        inner = kept[1:-1] or kept[:1]
        kept[kept.index(min(inner, key=lambda place: abs(place - wanted)))] = wanted
    return [values[place] for place in sorted(kept)]
