"""What an axis may be: a list, or a range that is computed value by value, so that a long one costs no memory."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sweep.errors import InputError

SPACINGS = ("log", "lin")
FORMS = "a list, {log: [low, high, n]}, {lin: [low, high, n]} or {pow2: [low, high]}"
Index = NDArray[np.int64]
AxisValues = NDArray[Any]


@dataclass(frozen=True)
class Listed:
    """Values written out, or drawn beforehand."""

    values: tuple[Any, ...]

    def __len__(self) -> int:
        return len(self.values)

    def at(self, index: Index) -> AxisValues:
        """Return the values at `index`."""
        return self._column[index]

    @property
    def nulls(self) -> bool:
        """Whether null is one of the values."""
        return None in self.values

    @functools.cached_property
    def _column(self) -> AxisValues:
        return np.array(self.values, dtype=object if self.nulls else None)

    def probes(self) -> Sequence[int]:
        """Return the positions whose values need checking: all of them."""
        return range(len(self))


@dataclass(frozen=True)
class Spaced:
    """`n` values from `low` to `high`, both included, at equal steps or equal ratios."""

    spacing: str
    low: float
    high: float
    n: int
    whole: bool  # rounded to integers
    nulls = False

    def __len__(self) -> int:
        return self.n

    def at(self, index: Index) -> AxisValues:
        """Return the values at `index`."""
        values = spread(self.spacing, self.low, self.high, index / max(self.n - 1, 1))
        return np.rint(values).astype(np.int64) if self.whole else values

    def probes(self) -> Sequence[int]:
        """Return the positions whose values need checking: the ends, as what lies between is between."""
        return (0, self.n - 1)


Values = Listed | Spaced


@dataclass(frozen=True)
class Sampled:
    """A range without a count: `sample` decides how many values are drawn from it."""

    spacing: str
    low: float
    high: float
    whole: bool

    def drawn(self, unit: NDArray[np.float64]) -> Listed:
        """Return the values that numbers in [0, 1) stand for."""
        values = spread(self.spacing, self.low, self.high, unit)
        return Listed(tuple((np.rint(values).astype(np.int64) if self.whole else values).tolist()))


def spread(spacing: str, low: float, high: float, part: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return what lies at `part` (0 to 1) of the way from `low` to `high`, exact at both ends."""
    if spacing == "lin":
        return np.asarray(low + (high - low) * part)
    # 12 digits are what the last bit of exp2 and log2 may differ by between machines, and more than a reader wants
    values = np.exp2(np.log2(low) + (np.log2(high) - np.log2(low)) * part)
    distinct, back = np.unique(values, return_inverse=True)
    return np.array([float(f"{value:.12g}") for value in distinct])[back]


def parse(path: str, spec: Any, convert: Callable[[Any], Any]) -> Values | Sampled:
    """Return the axis that `axes.<path>` spells; `convert` makes a value what the type of `path` wants, or raises."""
    key = f"axes.{path}"
    if isinstance(spec, list):
        return _listed(key, [convert(value) for value in spec])
    if not isinstance(spec, Mapping) or len(spec) != 1:
        raise InputError(f"{key} must be {FORMS} (got {spec!r}); write one of them")
    ((kind, ends),) = spec.items()
    if kind == "pow2":
        low, high = _numbers(key, kind, ends, counts=(2,))
        powers = [1 << power for power in range(64) if low <= 1 << power <= high]
        return _listed(key, [convert(power) for power in powers])
    if not isinstance(convert(1), int | float) or isinstance(convert(1), bool):
        raise InputError(f"{key} must be a list, as it is no number (got {spec!r}); write its values out")
    if kind not in SPACINGS:
        raise InputError(f"{key} must be {FORMS} (got {kind!r}); write one of them")
    low, high, *count = _numbers(key, kind, ends, counts=(2, 3))
    whole = isinstance(convert(1), int)
    if kind == "log" and low <= 0:
        raise InputError(f"{key} must start above 0 where it is a log range (got {low}); use lin or a list")
    if not count:
        return Sampled(kind, low, high, whole)
    n = count[0]
    if n != int(n) or n < 2:
        raise InputError(f"{key} must have a whole number of values, at least 2 (got {n}); use a list for one value")
    return _spaced(key, Spaced(kind, low, high, int(n), whole))


def _listed(key: str, values: list[Any]) -> Listed:
    if not values:
        raise InputError(f"{key} must not be empty (got []); leave the axis out to keep the default")
    twice = next((value for at, value in enumerate(values) if value in values[:at]), None)
    if twice is not None:
        raise InputError(f"{key} must not repeat a value (got {twice!r} twice); remove one, or use replicates")
    return Listed(tuple(values))


def _spaced(key: str, axis: Spaced) -> Spaced:
    first, second, last, before = spread(
        axis.spacing, axis.low, axis.high, np.array([0, 1, axis.n - 1, axis.n - 2]) / (axis.n - 1)
    )
    if axis.whole and min(second - first, last - before) < 1:
        raise InputError(
            f"{key} must not repeat a value (got {axis.n} values from {axis.low:g} to {axis.high:g}, "
            "which round to fewer whole numbers); use fewer"
        )
    return axis


def _numbers(key: str, kind: str, ends: Any, counts: tuple[int, ...]) -> list[float]:
    rule = f"{key} must be {{{kind}: [low, high{', n' if 3 in counts else ''}]}}"
    if not isinstance(ends, list) or len(ends) not in counts:
        raise InputError(f"{rule} (got {ends!r}); give {' or '.join(map(str, counts))} numbers")
    if any(isinstance(end, bool) or not isinstance(end, int | float) or not np.isfinite(end) for end in ends):
        raise InputError(f"{rule} (got {ends!r}); give finite numbers")
    if not ends[0] < ends[1]:
        raise InputError(f"{rule} with low below high (got {ends!r}); swap them, or use a list for one value")
    return list(ends)
