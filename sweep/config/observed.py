"""What was seen of a host: the CSV of `sweep/real/observe.py`, or of any tool that counts dying cgroups."""

from __future__ import annotations

import csv
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sweep.errors import InputError

_Floats = NDArray[np.float64]
COUNTED_BY = ("nr_dying_memory", "nr_dying", "num_cgroups")  # the first that has numbers is read
HELD_BACK = "held_back_dying"  # shown beside the forecast, and never read by the fit


@dataclass(frozen=True)
class Observed:
    """The rows of a host; arrays have shape `[rows]`, times are from the first row on, nan is an empty field."""

    path: str
    times_s: _Floats
    columns: Mapping[str, _Floats]  # of numbers
    kernel: str | None  # the last row's, as `uname -r` says it
    counted: str  # where dying comes from: a column, or a difference of two

    def last(self, column: str) -> float | None:
        """Return the last number of a column; None where there is none."""
        values = self.columns.get(column, np.zeros(0))
        known = values[np.isfinite(values)]
        return float(known[-1]) if known.size else None

    @property
    def dying(self) -> _Floats:
        """Dying memcgs; where only all cgroups are counted, these, with the live ones among them."""
        if self.counted == "num_cgroups - directories":
            return self.columns["num_cgroups"] - self.columns["directories"]
        return self.columns[self.counted]


def read_observed(path: str) -> Observed:
    """Read a host's CSV. Raises InputError, with column and line, for what cannot be used."""
    try:
        with Path(path).open(newline="", encoding="utf-8-sig") as file:
            lines = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(
            f"observed must be a CSV file that can be read (got {path!r}: {error}); sweep/real/observe.py writes one"
        ) from error
    names = list(lines[0]) if lines else []
    if "time" not in names or not set(COUNTED_BY) & set(names):
        raise InputError(
            f"observed must have columns time and {' or '.join(COUNTED_BY[1:])} "
            f"(got {', '.join(map(str, names)) or 'no row'} in {path!r}); rename yours"
        )
    times = _column(path, lines, "time", _seconds)
    order = np.diff(times)
    if not np.isfinite(times).all() or (order <= 0).any():
        at = int(np.flatnonzero(~np.isfinite(times))[0] if not np.isfinite(times).all() else np.argmax(order <= 0) + 1)
        raise InputError(
            f"observed must have times that grow from row to row (got {lines[at]['time']!r} on line {at + 2} of "
            f"{path!r}); sort the rows"
        )
    texts = {"time", "kernel", "mkdir_by"}
    columns = {name: _column(path, lines, name, float) for name in names if name and name not in texts}
    kernels = [row["kernel"] for row in lines if row.get("kernel")]
    found = Observed(path, times - times[0], columns, kernels[-1] if kernels else None, _counted(path, columns))
    if not np.isfinite(found.dying).any():
        raise InputError(f"observed must count dying cgroups in some row (got none in {path!r}); see docs/workloads.md")
    return found


def _counted(path: str, columns: Mapping[str, _Floats]) -> str:
    for name in COUNTED_BY:
        values = columns.get(name, np.zeros(0))
        if not np.isfinite(values).any():
            continue
        if (values < 0).any():
            raise InputError(
                f"observed must have counts of 0 or more in {name} (got {np.nanmin(values):g} in {path!r}); mend it"
            )
        directories = columns.get("directories", np.zeros(0))
        return "num_cgroups - directories" if name == "num_cgroups" and np.isfinite(directories).any() else name
    return next(name for name in COUNTED_BY if name in columns)


def _column(path: str, lines: Iterable[Mapping[str, str]], name: str, convert: Callable[[str], float]) -> _Floats:
    values = []
    for number, row in enumerate(lines, start=2):
        text = (row.get(name) or "").strip()
        try:
            value = convert(text) if text else math.nan
        except ValueError:
            value = math.inf
        if math.isinf(value):
            rule = "seconds or ISO 8601" if name == "time" else "numbers"
            raise InputError(
                f"observed must have {rule} in column {name} (got {text!r} on line {number} of {path!r}); mend it"
            )
        values.append(value)
    return np.array(values, dtype=np.float64)


def _seconds(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return datetime.fromisoformat(text).timestamp()
