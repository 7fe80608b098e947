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
from numpy.typing import NDArray

from core.keys import read_by
from core.params import Point
from sweep.plan import where
from sweep.plan.axes import Column, Index, Values

SCENARIO = read_by(Point, "scenario")
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
        positions = positions[self._kept(positions)]
        return positions, {path: column.tolist() for path, column in self._columns(positions).items()}

    def values(self, position: int) -> dict[str, Any]:
        """Return what every axis is set to at a position."""
        return {path: column[0].item() for path, column in self._columns(np.array([position])).items()}

    def count(self) -> int:
        """Return how many points there are; where there is a constraint, by walking the plan."""
        if self.where is None:
            return self.positions
        ends = ((start, min(start + COUNT_CHUNK, self.positions)) for start in range(0, self.positions, COUNT_CHUNK))
        return sum(int(self._kept(np.arange(*pair, dtype=np.int64)).sum()) for pair in ends)

    def probes(self) -> Iterator[dict[str, Any]]:
        """Yield settings that show every value of every axis at least once, the other axes at their first value."""
        radix, span = {}, 1
        for dim in reversed(self.dims):
            radix[dim.paths] = span
            span *= len(dim)
        for dim in self.dims:
            for probe in dim.columns[0].probes():
                yield self.values(probe * radix[dim.paths])

    def _kept(self, positions: Index) -> NDArray[np.bool_]:
        if self.where is None:
            return np.ones(positions.size, dtype=np.bool_)
        known = {path: value for path, value in self.base.items() if not isinstance(value, Mapping)}
        return where.holds(self.where, known | self._columns(positions), positions.size)

    def _columns(self, positions: Index) -> dict[str, Column]:
        columns: dict[str, Column] = {}
        rest = positions
        for dim in reversed(self.dims):
            rest, digit = np.divmod(rest, len(dim))
            columns |= {path: values.at(digit) for path, values in zip(dim.paths, dim.columns, strict=True)}
        return columns
