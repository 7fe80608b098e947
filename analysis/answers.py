"""Questions to the marts about one setting, and figures as text with the unit that the run's own metadata gives."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import duckdb

from analysis.marts import marts
from analysis.units import human
from core.designs import DESIGNS

Row = dict[str, Any]


@dataclass(frozen=True)
class Answers:
    """What one setting of a run has to say. units: of every column of the run's tables."""

    con: duckdb.DuckDBPyConnection
    setting: str
    units: dict[str, str]

    def rows(self, query: str, **values: Any) -> list[Row]:
        """Rows of a query about `$setting` as dicts."""
        result = self.con.execute(query, {"setting": self.setting} | values)
        names = [column[0] for column in result.description]
        return [dict(zip(names, row, strict=True)) for row in result.fetchall()]

    def axis(self, column: str) -> list[Any]:
        """The values of an axis, ascending; designs in the order of the registry, without those that do not account."""
        query = f"select distinct {column} as value from points where setting = $setting order by all"
        values = [row["value"] for row in self.rows(query)]
        if column != "design":
            return values
        return [name for name, design in DESIGNS.items() if name in values and design.accounts]

    def usual(self, axis: str) -> Any:
        """Of the swept values of an axis, the one nearest to the base config's."""
        [row] = self.rows(f"""
            select distinct {axis} as value, abs({axis} - (
                select value::double from manifest where key = 'config.{axis}'
            )) as distance
            from points where setting = $setting order by distance, value limit 1
        """)
        return row["value"]

    def say(self, mart: str, column: str, value: float | None) -> str:
        """A figure of a mart's column with its unit."""
        made = marts()[mart].columns.get(column) if mart in marts() else None
        return human(value, self.units.get(made.unit_of if made else column, "1"))


def answers(con: duckdb.DuckDBPyConnection) -> list[Answers]:
    """One per setting of the run in which a design that accounts was swept."""
    units = dict(con.execute("""select "column", unit from units where unit is not null""").fetchall())
    settings = con.execute(
        "select distinct setting from points where design in (select name from designs where accounts) order by all"
    ).fetchall()
    return [Answers(con, setting, units) for (setting,) in settings]


def few(values: Sequence[Any], most: int) -> list[Any]:
    """At most `most` of ascending `values`, evenly spread, with the largest always among them."""
    if len(values) <= most:
        return list(values)
    last = len(values) - 1
    return [values[last - round(place * last / max(most - 1, 1))] for place in reversed(range(most))]
