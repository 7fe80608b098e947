"""How long a position takes, learned from the tasks that ended."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

FIRST_GUESS_S = 2e-3  # seconds of a position before anything is known; assumption, forgotten after the first task
FIRST_SLOPE = 0.5  # how the logarithms of cost and of a feature go together before anything is known; assumption
RIDGE = 0.1  # weight of that assumption, in tasks
FORGET = 0.9  # weight of what was learned, per task learned since


class CostModel:
    """Ridge regression of log seconds per position on a job's features, recent tasks first.

    It decides how the plan is cut, never what is in a row, so it may depend on time and chance.
    """

    def __init__(self) -> None:
        self.knows = False
        self._moments = np.zeros((0, 0))
        self._targets = np.zeros(0)
        self._learned: NDArray[np.floating[Any]] | None = None  # coefficients, beside those assumed

    def learn(self, features: tuple[float, ...], seconds: float) -> None:
        """Take note that a position with these features took so long."""
        x, y = np.array([1.0, *features]), np.log(max(seconds, 1e-7))
        if not self.knows:
            self.knows = True
            self._moments, self._targets = np.zeros((x.size, x.size)), np.zeros(x.size)
        self._moments = FORGET * self._moments + np.outer(x, x)
        self._targets = FORGET * self._targets + x * (y - self._assumed(x))
        # the constant is left free: nothing is known of it beforehand
        pull = np.diag([1e-6] + [RIDGE] * len(features))
        self._learned = np.linalg.solve(self._moments + pull, self._targets)

    def predict(self, features: tuple[float, ...]) -> float:
        """Return seconds."""
        x = np.array([1.0, *features])
        y = self._assumed(x)
        if self._learned is not None:
            y += float(self._learned @ x)
        return float(np.exp(y))

    @staticmethod
    def _assumed(x: NDArray[np.float64]) -> float:
        return float(np.log(FIRST_GUESS_S) + FIRST_SLOPE * x[1:].sum())
