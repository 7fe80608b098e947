"""simulate(points) -> Result: one scenario, seen by each of its points."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from core.charge import count, offline
from core.columns import Column
from core.keys import setting
from core.lifecycle import age
from core.params import Point
from core.prices import contention
from core.rng import scenario_id

Columns = dict[str, NDArray[np.generic]]

COLUMNS: dict[str, Column] = count.COLUMNS | age.COLUMNS | offline.COLUMNS | contention.COLUMNS
SERIES_COLUMNS: dict[str, Column] = age.SERIES_COLUMNS


@dataclass(frozen=True)
class Result:
    """What the points of one scenario came to.

    `points`: the columns of COLUMNS, each of shape `[len(points)]`, in the order of the points asked for.
    `series`: the columns of SERIES_COLUMNS in long form, one row per sample of each scenario, design and CPU count.
    """

    points: Columns
    series: Columns


def simulate(points: Sequence[Point]) -> Result:
    """Simulate the scenario that all `points` share.

    A point's row does not depend on which other points are asked for in the same call. Raises ValueError when the
    points are of several scenarios, and AssertionError when the books of a run do not balance.
    """
    unlike = {setting(point, "scenario"): point for point in points}.values()
    if len({scenario_id(point) for point in unlike}) != 1:
        raise ValueError("points of one call must share their scenario; group them by core.rng.scenario_id")
    count.begin(points)
    life, series = age.age(points)
    counts = count.count(points)
    removal = offline.offline_cost(points, counts)
    prices = contention.price(points, counts)
    return Result(points=counts | life | removal | prices, series=series)
