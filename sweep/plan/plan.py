"""From a config to its points, lazily: a plan is a mixed-radix number, and a task is a stretch of it.

The digits are the axes. The slow ones belong to the scenario (`core.rng.scenario_id`), so that points which share a
scenario are neighbours; the fast ones are what designs are compared by.
"""

from __future__ import annotations

import functools
import math
import operator
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import combinations, islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.keys import fields_of, read_by
from core.params import Point
from sweep.plan import where
from sweep.plan.axes import AxisValues, Index, Values

REALISATION, SCENARIO, MACHINE = (read_by(Point, part) for part in ("realisation", "scenario", "machine"))
OWN_RULES = {name: field.own for name, field in fields_of(Point).items() if field.own}  # what nulls stand for
COUNT_CHUNK = 1 << 20  # positions that a count looks at together
PROBE_CHUNK = 1 << 12
SHORT = 8  # values of an axis that are all met with those of another


@dataclass(frozen=True)
class Dim:
    """Axes that are walked together: one digit of the plan."""

    paths: tuple[str, ...]
    columns: tuple[Values, ...]

    def __len__(self) -> int:
        return len(self.columns[0])

    @property
    def of_realisation(self) -> bool:
        """Whether another digit means another realisation of scenarios, with streams of its own."""
        return any(path.split(".")[0] in REALISATION for path in self.paths)

    @property
    def of_scenario(self) -> bool:
        """Whether another digit means another scenario."""
        return any(path.split(".")[0] in SCENARIO for path in self.paths)

    @property
    def of_machine(self) -> bool:
        """Whether another digit may mean another machine, which replays a scenario's objects anew."""
        return any(path.split(".")[0] in MACHINE for path in self.paths)


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
        return {path: column.tolist()[0] for path, column in self._columns(np.array([position])).items()}

    def count(self) -> int:
        """Return how many points there are; where some positions are none, by walking the axes that decide it."""
        if self.where is None and not self._with_nulls:
            return self.positions
        deciding = self._deciding()
        less = replace(self, dims=tuple(dim for dim in self.dims if deciding & set(dim.paths)))
        ends = ((start, min(start + COUNT_CHUNK, less.positions)) for start in range(0, less.positions, COUNT_CHUNK))
        kept = sum(int(less._kept(np.arange(*pair, dtype=np.int64)).sum()) for pair in ends)
        return kept * (self.positions // less.positions)

    def kept(self, positions: Iterable[int]) -> Iterator[int]:
        """Yield those of some positions that are points."""
        for some in _chunks(positions):
            at = np.array(some, dtype=np.int64)
            yield from at[self._kept(at)].tolist()

    def probes(self) -> Iterator[int]:
        """Yield positions that show every value of every axis, and those of any two axes together.

        The other axes are at their first value. Of a long axis, two of many pairs do: its ends.
        """
        radix = self.radix()
        for dim in self.dims:
            yield from (probe * radix[dim.paths] for probe in dim.columns[0].probes())
        for one, other in combinations(self.dims, 2):
            for digit in _few(one):
                yield from (digit * radix[one.paths] + more * radix[other.paths] for more in _few(other))

    def neighbours(self, position: int, dim: Dim) -> Iterator[dict[str, Any]]:
        """Yield the settings of positions that differ from one in one digit."""
        radix = self.radix()[dim.paths]
        here = position // radix % len(dim)
        yield from (self.values(position + (digit - here) * radix) for digit in _few(dim) if digit != here)

    def pairs(self, path: str) -> Iterator[int]:
        """Yield positions that show every value of every axis beside every value of one."""
        one = next((dim for dim in self.dims if path in dim.paths), None)
        radix = self.radix()
        for at in range(len(one)) if one else (0,):
            shift = at * radix[one.paths] if one else 0
            for dim in self.dims:
                if dim is not one:
                    yield from (shift + probe * radix[dim.paths] for probe in dim.columns[0].probes())

    def _deciding(self) -> set[str]:
        """Paths that decide which positions are points, and whatever their nulls stand for."""
        found = {path for dim in self._with_nulls for path in dim.paths}
        found |= where.names(self.where, self._known()) if self.where is not None else set()
        todo = list(found)
        while todo:
            path = todo.pop()
            group = path.partition(".")[0]
            new = {group, *(OWN_RULES[path].paths if path in OWN_RULES else ())} - found
            found |= new
            todo += new
        return found

    def radix(self) -> dict[tuple[str, ...], int]:
        """Return how many positions apart two neighbouring values of each digit are, by its paths."""
        radix, span = {}, 1
        for dim in reversed(self.dims):
            radix[dim.paths] = span
            span *= len(dim)
        return radix

    @property
    def _with_nulls(self) -> list[Dim]:
        """Axes where a null stands beside values, one of which it may stand for."""
        return [dim for dim in self.dims if len(dim) > 1 and any(column.nulls for column in dim.columns)]

    def _kept(self, positions: Index) -> NDArray[np.bool_]:
        """Return which positions are points: those which `where` holds for, and no earlier one is the same as."""
        kept = np.ones(positions.size, dtype=np.bool_)
        if self.where is None and not self._with_nulls:
            return kept
        columns = self._columns(positions)
        if self.where is not None:
            known = {path: self._resolved(path, columns) for path in where.names(self.where, self._known())}
            kept &= where.holds(self.where, known, positions.size)
        for dim in self._with_nulls:
            digits = positions // self.radix()[dim.paths] % len(dim)
            here = {path: self._resolved(path, columns) for path in dim.paths}
            for digit in range(len(dim) - 1):
                same = digits > digit
                for path, values in zip(dim.paths, dim.columns, strict=True):
                    value = values.at(np.array([digit])).tolist()[0]
                    same = same & (here[path] == (self._own(path, columns) if value is None else value))
                kept &= ~same
        return kept

    def _known(self) -> set[str]:
        return {*self.paths, *(path for path, value in self.base.items() if not isinstance(value, Mapping))}

    def _resolved(self, path: str, columns: Mapping[str, AxisValues]) -> Any:
        """Return the values of a path at the positions of `columns`, or one for all; a null is what it stands for."""
        values = columns.get(path)
        if values is None:
            group, _, rest = path.partition(".")
            if rest and group in columns:
                names, back = np.unique(columns[group], return_inverse=True)
                return np.array([_inside(self.options[group][str(name)], rest) for name in names])[back]
            value = _inside(self.base, path)
            return self._own(path, columns) if value is None and path in OWN_RULES else value
        if values.dtype != object:
            return values
        nulls = np.array([value is None for value in values.tolist()])
        return np.array(np.where(nulls, self._own(path, columns), values).tolist())

    def _own(self, path: str, columns: Mapping[str, AxisValues]) -> Any:
        own = OWN_RULES[path]
        theirs = [self._resolved(each, columns) for each in own.paths]
        if not any(isinstance(each, np.ndarray) for each in theirs):
            return own.rule(*theirs)
        return np.array(np.frompyfunc(own.rule, len(theirs), 1)(*theirs).tolist())

    def _columns(self, positions: Index) -> dict[str, AxisValues]:
        columns: dict[str, AxisValues] = {}
        rest = positions
        for dim in reversed(self.dims):
            rest, digit = np.divmod(rest, len(dim))
            columns |= {path: values.at(digit) for path, values in zip(dim.paths, dim.columns, strict=True)}
        return columns


def _chunks(positions: Iterable[int]) -> Iterator[list[int]]:
    rest = iter(positions)
    while some := list(islice(rest, PROBE_CHUNK)):
        yield some


def _few(dim: Dim) -> Iterable[int]:
    """All digits of a short axis, the ends of a long one."""
    return range(len(dim)) if len(dim) <= SHORT else (0, len(dim) - 1)


def _inside(tree: Any, path: str) -> Any:
    return functools.reduce(operator.getitem, path.split("."), tree)
