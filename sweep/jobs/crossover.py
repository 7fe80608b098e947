"""A sweep that looks at what landed and decides where to look next: more seeds, and more points where the best changes.

A *cell* is one setting of the axes that are refined; in a cell every design is simulated under the same seeds, so
designs are compared by paired differences. A round appends cells to the plan and never moves one, so a run resumes
like any other: the rounds are walked again, and what they decide follows from rows that are there already.
"""

from __future__ import annotations

import itertools
import math
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sweep.config.schema import PLANNED
from sweep.engine.store import Store
from sweep.errors import InputError, not_one_of
from sweep.jobs.simulation import Simulation
from sweep.plan.axes import Listed
from sweep.plan.plan import Dim, Plan

CONFIDENCE = 0.95
Cell = tuple[Any, ...]
Seen = dict[Cell, dict[Cell, dict[str, dict[int, float]]]]  # cell -> the other axes -> design -> replicate -> metric


@dataclass(frozen=True)
class Refinement:
    """When a cell is settled, and when two neighbours need one between them. See `conf/experiment/crossover.yaml`."""

    axes: tuple[str, ...]
    metric: str
    interval: float
    apart: float
    rounds: int
    budget: int
    replicates: int

    def __post_init__(self) -> None:
        from core.simulate import COLUMNS

        numbers = [name for name, column in COLUMNS.items() if np.dtype(column.dtype).kind in "if"]
        if self.metric not in numbers:
            raise InputError(not_one_of("refine.metric", self.metric, numbers))


def crossover(plan: Plan, refine: Mapping[str, Any]) -> Crossover:
    """Return the job of a plan whose axes `refine` names; its first digit becomes the list of cells."""
    rules = Refinement(**dict(refine) | {"axes": tuple(refine["axes"])})
    digits = {dim.paths: dim for dim in plan.dims}
    for path in rules.axes:
        if (path,) not in digits:
            raise InputError(
                f"refine.axes must name axes that stand alone (got {path!r}); give axes.{path}, and do not zip it"
            )
        if not all(isinstance(value, int | float) and value > 0 for value in _values(digits[path,])):
            raise InputError(f"refine.axes must name axes of numbers above 0 (got {path!r}); leave it out")
    if ("design",) not in digits or len(digits["design",]) < 2:
        raise InputError("refine must have designs to compare (got one); give axes.design=[...]")
    listed = (*rules.axes, PLANNED)
    product = itertools.product(*(_values(digits[path,]) for path in listed))
    cells = Dim(listed, _columns(product))
    others = tuple(dim for dim in plan.dims if dim.paths[0] not in listed)
    return Crossover(replace(plan, dims=(cells, *others)), rules)


@dataclass(frozen=True)
class Crossover(Simulation):
    """Simulates the cells of a plan, whose first digit lists them, and grows the plan by what it sees."""

    rules: Refinement
    round: int = 1

    def extended(self, store: Store) -> Crossover | None:
        """Return the job with another round of cells; None when all is settled, or rounds or budget are used up."""
        cells, *others = self.plan.dims
        room = self.rules.budget // (self.plan.positions // len(cells)) - len(cells)
        seen = self._seen(store)
        wanted = [*self._more_seeds(seen), *self._between(seen, first_seeds=min(map(len, _seeds(cells).values())))]
        if self.round == self.rules.rounds or not wanted or room <= 0:
            return None
        longer = Dim(cells.paths, _columns([*_rows(cells), *wanted[:room]]))
        return replace(self, plan=replace(self.plan, dims=(longer, *others)), round=self.round + 1)

    def _seen(self, store: Store) -> Seen:
        seen: Seen = defaultdict(lambda: defaultdict(lambda: defaultdict(dict)))
        others = [path for path in self.plan.paths if path not in (*self.rules.axes, PLANNED, "design")]
        columns = [*self.rules.axes, *others, "design", PLANNED, self.rules.metric]
        for (_, stop), path in store.parts("points").items():
            if stop > self.plan.positions:
                continue  # of a later round: a run that resumes decides by what it knew then
            for row in zip(*store.read_part(path).select(columns).to_pydict().values(), strict=True):
                n = len(self.rules.axes)
                design, replicate, metric = row[-3:]
                seen[row[:n]][row[n:-3]][design][replicate] = metric
        return seen

    def _more_seeds(self, seen: Seen) -> Iterable[Cell]:
        """Yield cells again under as many new seeds as they had, where the best and the next are not told apart."""
        for cell in sorted(seen):
            had = 1 + max(r for designs in seen[cell].values() for each in designs.values() for r in each)
            if had < self.rules.replicates and any(self._open(designs) for designs in seen[cell].values()):
                yield from ((*cell, seed) for seed in range(had, min(2 * had, self.rules.replicates)))

    def _open(self, designs: Mapping[str, Mapping[int, float]]) -> bool:
        best, following = sorted(designs, key=lambda name: (_mean(designs[name]), name))[:2]
        shared = sorted(set(designs[best]) & set(designs[following]))
        differences = np.array([designs[following][seed] - designs[best][seed] for seed in shared])
        return half_width(differences) > self.rules.interval * abs(_mean(designs[best]))

    def _between(self, seen: Seen, first_seeds: int) -> Iterable[Cell]:
        """Yield a cell half way between neighbours that disagree about the best design, under the first seeds."""
        new = set()
        for at, _ in enumerate(self.rules.axes):
            for _, line in itertools.groupby(
                sorted(seen, key=lambda cell: (cell[:at], cell[at + 1 :], cell[at])),
                key=lambda c: (c[:at], c[at + 1 :]),
            ):
                for low, high in itertools.pairwise(line):
                    middle = half_way(low[at], high[at], self.rules.apart)
                    if middle is not None and any(_best(seen[low][o]) != _best(seen[high][o]) for o in seen[low]):
                        new.add((*low[:at], middle, *low[at + 1 :]))
        yield from ((*cell, seed) for cell in sorted(new - set(seen)) for seed in range(first_seeds))


def _values(dim: Dim) -> list[Any]:
    return [value for (value,) in _rows(dim)]


def _rows(dim: Dim) -> list[Cell]:
    return list(zip(*(column.at(np.arange(len(dim))).tolist() for column in dim.columns), strict=True))


def _columns(rows: Iterable[Cell]) -> tuple[Listed, ...]:
    return tuple(Listed(column) for column in zip(*rows, strict=True))


def half_width(differences: NDArray[np.float64]) -> float:
    """Return half the confidence interval of the mean of paired differences (Student's t); inf for fewer than two."""
    from scipy.stats import t

    if differences.size < 2:
        return math.inf
    error = differences.std(ddof=1) / math.sqrt(differences.size)
    return float(t.ppf((1 + CONFIDENCE) / 2, differences.size - 1) * error)


def half_way(low: float, high: float, apart: float) -> float | None:
    """Return the geometric middle of two values of an axis, rounded as they are; None where they are close enough."""
    if high < low * apart:
        return None
    middle = math.sqrt(low * high)
    middle = round(middle) if isinstance(low, int) else float(f"{middle:.6g}")
    return middle if low < middle < high else None


def _seeds(cells: Dim) -> dict[Cell, list[int]]:
    found = defaultdict(list)
    for *cell, seed in _rows(cells):
        found[tuple(cell)].append(seed)
    return found


def _mean(values: Mapping[int, float]) -> float:
    return math.fsum(values.values()) / len(values)


def _best(designs: Mapping[str, Mapping[int, float]]) -> str:
    return min(designs, key=lambda name: (_mean(designs[name]), name))
