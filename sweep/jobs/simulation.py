"""The sweep's job: a position is a point, and its row is what was asked for and what it came to."""

from __future__ import annotations

import functools
import math
import typing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa

from core.columns import Column
from core.params import Point
from sweep.config.records import GROUPS
from sweep.engine.rates import Outlook
from sweep.plan.axes import Values
from sweep.plan.expand import Expander
from sweep.plan.plan import Plan

DEAR = ("churn_hz", "duration_s", "workload", "cpus")
ARROW = {int: pa.int64(), float: pa.float64(), str: pa.string(), bool: pa.bool_()}


@dataclass(frozen=True)
class Simulation:
    """Simulates the points of a plan, a scenario at a time."""

    plan: Plan
    tables = ("series", "points")
    inputs = ""
    per_node = False

    @property
    def grains(self) -> tuple[int, ...]:
        """Cuts between scenarios cost nothing; inside one, cuts between slow digits cost less than between fast."""
        spans = [1]
        for dim in reversed(self.plan.dims):
            if dim.of_scenario:
                break
            spans.append(spans[-1] * len(dim))
        return tuple(spans)

    @property
    def region(self) -> int:
        """Streams of allocations are shared by all that is seen of a realisation, and by nothing else."""
        return math.prod(len(dim) for dim in self.plan.dims if not dim.of_realisation)

    def positions(self, nodes: int) -> int:  # noqa: ARG002 (the plan is the plan, however many nodes share it)
        """Return the length of the plan."""
        return self.plan.positions

    def count(self) -> int:
        """Return how many points the constraint leaves."""
        return self.plan.count()

    def features(self, position: int) -> tuple[float, ...]:
        """Return the logarithms of the axes that are numbers and make a point dear: a window grows with the CPUs."""
        found = []
        for radix, length, columns in self._dear:
            digit = np.array([position // radix % length])
            for column in columns:
                value = column.at(digit)[0]
                if isinstance(value, int | float | np.number) and value > 0:
                    found.append(math.log(value))
        return tuple(found)

    @functools.cached_property
    def _dear(self) -> list[tuple[int, int, list[Values]]]:
        """Radix, length and columns of the axes that may make a point dear."""
        radix = self.plan.radix()
        columns = (
            [column for path, column in zip(dim.paths, dim.columns, strict=True) if path.split(".")[0] in DEAR]
            for dim in self.plan.dims
        )
        return [(radix[dim.paths], len(dim), dear) for dim, dear in zip(self.plan.dims, columns, strict=True) if dear]

    def outlook(self, cores: int) -> Outlook:
        """Return the parts of the plan's work."""
        from sweep.jobs.outlook import PlanOutlook  # workers need none of it

        return PlanOutlook(self.plan, cores)

    def settings(self, position: int) -> Mapping[str, Any]:
        """Return the value of every axis at a position."""
        return self.plan.values(position)

    def rehearsals(self, position: int) -> Sequence[Callable[[], object]]:
        """Return the charging and the lives of memcgs under every design, on one CPU: they share no machine code."""
        from core.charge.count import count
        from core.lifecycle.age import age

        def points() -> list[Point]:  # made where they are rehearsed: every task comes by here
            expander, settings = _expander(self.plan), [self.plan.values(position)]
            for dim in self.plan.dims:
                if "design" in dim.paths:
                    settings += self.plan.neighbours(position, dim)
            return [replace(expander.point(each), cpus=1, nodes=1) for each in settings]

        return (lambda: count(points()), lambda: age(points()))

    def work(self, start: int, stop: int) -> dict[str, pa.Table]:
        """Return `points`, a row a position, and `series` as the simulation gives it."""
        from core.rng import scenario_id
        from core.simulate import COLUMNS, SERIES_COLUMNS, simulate

        expander = _expander(self.plan)
        points, series = [], []
        for number, batch, settings in expander.scenarios(start, stop):
            result = simulate(batch)
            rows = _parameters(batch) | _nested(settings)
            rows |= {"counterfactual": pa.array([point.counterfactual for point in batch])}
            rows |= {"source": pa.array(["model"] * len(batch))}
            rows |= {"scenario_id": pa.array([scenario_id(batch[0])] * len(batch))}
            rows |= {"point_id": pa.array([expander.point_id(point) for point in batch])}
            points.append(pa.table(rows | _arrays(result.points, COLUMNS)))
            samples = _arrays(result.series, SERIES_COLUMNS)
            series.append(pa.table({"scenario": pa.repeat(number, len(next(iter(samples.values()))))} | samples))
        return {"points": self._joined(points, COLUMNS), "series": self._joined(series, SERIES_COLUMNS)}

    def _joined(self, tables: Sequence[pa.Table], columns: Mapping[str, Column]) -> pa.Table:
        joined = pa.concat_tables(tables) if tables else pa.table({})
        fields = [
            field.with_metadata({"unit": columns[field.name].unit, "doc": columns[field.name].doc})
            if field.name in columns
            else field
            for field in joined.schema
        ]
        return joined.cast(pa.schema(fields))


@functools.cache
def _types() -> dict[str, pa.DataType]:
    """Return the Arrow type of every parameter of a point; a group is known by its name."""
    found = {}
    for name, hint in typing.get_type_hints(Point).items():
        options = [option for option in (hint, *typing.get_args(hint)) if option in ARROW]
        found[name] = ARROW[options[0]] if options else pa.string()
    return found


def _parameters(points: Sequence[Point]) -> dict[str, pa.Array]:
    return {
        name: pa.array([getattr(p, name).name if name in GROUPS else getattr(p, name) for p in points], kind)
        for name, kind in _types().items()
    }


def _nested(settings: Sequence[Mapping[str, Any]]) -> dict[str, pa.Array]:
    """Return the axes inside groups, by their config path."""
    return {path: pa.array([each[path] for each in settings]) for path in settings[0] if "." in path}


def _arrays(values: Mapping[str, np.ndarray], columns: Mapping[str, Column]) -> dict[str, pa.Array]:
    return {name: pa.array(values[name].astype(column.dtype)) for name, column in columns.items()}


_last: tuple[Plan, Expander] | None = None


def _expander(plan: Plan) -> Expander:
    """Return the expander of the plan that this process works on, made once."""
    global _last  # noqa: PLW0603 (a worker serves one run)
    if _last is None or _last[0] is not plan:
        _last = (plan, Expander(plan))
    return _last[1]
