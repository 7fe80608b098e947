"""From a config to its points, lazily: a plan is a mixed-radix number, and a task is a stretch of it.

The digits are the axes. The slow ones belong to the scenario (`core.rng.scenario_id`), so that points which share a
scenario are neighbours; the fast ones are what designs are compared by.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from sweep import where
from sweep.axes import Index, Values

SCENARIO = ("workload", "churn_hz", "duration_s", "seed", "replicate")
COUNT_CHUNK = 1 << 20  # positions that a count looks at together


@dataclass(frozen=True)
class Dim:
    """Axes that are walked together: one digit of the plan."""

    paths: tuple[str, ...]
    columns: tuple[Values, ...]

    def __len__(self) -> int:
        return len(self.columns[0])

    @property
    def of_scenario(self) -> bool:
        """Whether another digit means another scenario."""
        return any(path.split(".")[0] in SCENARIO for path in self.paths)


@dataclass(frozen=True)
class Plan:
    """Every point of a sweep, in order, held as its axes.

    base: the config of a point, groups as nested mappings. options: group -> option -> its config, for the groups that
    are axes.
    """

    base: Mapping[str, Any]
    dims: tuple[Dim, ...]
    where: str | None
    options: Mapping[str, Mapping[str, Mapping[str, Any]]]

    @property
    def positions(self) -> int:
        """How many points there are, with those that `where` leaves out."""
        return math.prod(len(dim) for dim in self.dims)

    @property
    def grain(self) -> int:
        """How many neighbouring positions share a scenario."""
        return math.prod(len(dim) for dim in self.dims if not dim.of_scenario)

    @property
    def paths(self) -> tuple[str, ...]:
        """Config paths of all axes."""
        return tuple(path for dim in self.dims for path in dim.paths)

    def columns(self, start: int, stop: int) -> tuple[Index, dict[str, list[Any]]]:
        """Return the positions from `start` to `stop` that are points, and the value of each axis at each of them."""
        positions = np.arange(start, stop, dtype=np.int64)
        values = self._values(positions)
        if self.where is None:
            return positions, values
        known = {path: value for path, value in self.base.items() if not isinstance(value, Mapping)}
        kept = where.holds(self.where, known | {p: np.array(v) for p, v in values.items()}, positions.size)
        return positions[kept], {p: [v for v, keep in zip(vs, kept, strict=True) if keep] for p, vs in values.items()}

    def values(self, position: int) -> dict[str, Any]:
        """Return what every axis is set to at a position."""
        return {path: value[0] for path, value in self._values(np.array([position], dtype=np.int64)).items()}

    def count(self) -> int:
        """Return how many points there are; where there is a constraint, by walking the plan."""
        if self.where is None:
            return self.positions
        starts = range(0, self.positions, COUNT_CHUNK)
        return sum(self.columns(start, min(start + COUNT_CHUNK, self.positions))[0].size for start in starts)

    def probes(self) -> Iterator[dict[str, Any]]:
        """Yield settings that show every value of every axis at least once, the other axes at their first value."""
        radix, span = {}, 1
        for dim in reversed(self.dims):
            radix[dim.paths] = span
            span *= len(dim)
        for dim in self.dims:
            for probe in dim.columns[0].probes():
                yield self.values(probe * radix[dim.paths])

    def _values(self, positions: Index) -> dict[str, list[Any]]:
        values: dict[str, list[Any]] = {}
        rest = positions
        for dim in reversed(self.dims):
            rest, digit = np.divmod(rest, len(dim))
            values |= {path: column.at(digit) for path, column in zip(dim.paths, dim.columns, strict=True)}
        return values
