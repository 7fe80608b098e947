"""From a stretch of a plan to its points: what a worker does first."""

from __future__ import annotations

import functools
import json
import operator
from collections.abc import Iterator, Mapping
from copy import deepcopy
from hashlib import blake2b
from itertools import groupby
from typing import Any

from core.keys import identity, resolved
from core.params import Point
from sweep.config.records import GROUPS, build
from sweep.plan.plan import Plan


class Expander:
    """Makes points of a plan; what many points share (a kernel, a workload, a host) is made once."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self._flat = {key: value for key, value in plan.base.items() if key not in GROUPS}
        self._made: dict[tuple[Any, ...], Any] = {}
        self._digests: dict[int, str] = {}

    def point(self, settings: Mapping[str, Any]) -> Point:
        """Return the point where `settings` gives the value of each config path; raise ValueError on a broken rule.

        Its nulls are resolved: what a point is, its rows say and its name is made of.
        """
        flat = {path: value for path, value in settings.items() if "." not in path and path not in GROUPS}
        groups = {group: self._group(group, settings) for group in GROUPS}
        return resolved(Point(**(self._flat | flat | groups)))

    def scenarios(self, start: int, stop: int) -> Iterator[tuple[int, list[Point], list[dict[str, Any]]]]:
        """Yield number, points, and settings of the axes at each point, of each scenario between two positions."""
        positions, columns = self.plan.columns(start, stop)
        grain = self.plan.grain
        rows = zip(positions.tolist(), zip(*columns.values(), strict=True), strict=True)
        for number, group in groupby(rows, key=lambda row: row[0] // grain):
            settings = [dict(zip(columns, values, strict=True)) for _, values in group]
            yield number, [self.point(each) for each in settings], settings

    def point_id(self, point: Point) -> str:
        """Name a point by its content: 20 hex digits of everything that a point is."""
        values = {key: value for key, value in vars(point).items() if key not in GROUPS}
        values |= {group: self._digest(getattr(point, group)) for group in GROUPS}
        return blake2b(json.dumps(values, sort_keys=True).encode(), digest_size=10).hexdigest()

    def _group(self, group: str, settings: Mapping[str, Any]) -> Any:
        inside = tuple((path, value) for path, value in settings.items() if path.split(".")[0] == group)
        key = (group, inside)
        if key not in self._made:
            name = settings.get(group)
            values = deepcopy(dict(self.plan.base[group] if name is None else self.plan.options[group][name]))
            for path, value in inside:
                _, *parents, last = path.split(".") if path != group else ("", "")
                if last:
                    functools.reduce(operator.getitem, parents, values)[last] = value
            self._made[key] = build(GROUPS[group], values, f"{group}.")
        return self._made[key]

    def _digest(self, group: Any) -> str:
        # groups live as long as this expander, so an id is never used again
        if id(group) not in self._digests:
            self._digests[id(group)] = blake2b(identity(group).encode(), digest_size=10).hexdigest()
        return self._digests[id(group)]
