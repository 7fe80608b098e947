"""How long a position takes, learned from the tasks that ended."""

from __future__ import annotations

import numpy as np

FIRST_GUESS_S = 2e-3  # seconds of a position before anything is known; assumption, forgotten after the first task
RIDGE = 0.1  # pull towards "all cost the same", which is right until tasks show otherwise
FORGET = 0.9  # weight of what was learned, per task learned since


class CostModel:
    """Ridge regression of log seconds per position on a job's features, recent tasks first.

    It decides how the plan is cut, never what is in a row, so it may depend on time and chance.
    """

    def __init__(self) -> None:
        self._mean = np.log(FIRST_GUESS_S)
        self._moments: np.ndarray | None = None
        self._targets: np.ndarray | None = None

    def learn(self, features: tuple[float, ...], seconds: float) -> None:
        """Take note that a position with these features took so long."""
        x, y = np.array([1.0, *features]), np.log(max(seconds, 1e-7))
        if self._moments is None or self._targets is None:
            self._moments, self._targets = np.zeros((x.size, x.size)), np.zeros(x.size)
            self._mean = y
        self._moments = FORGET * self._moments + np.outer(x, x)
        self._targets = FORGET * self._targets + x * (y - self._mean)

    def predict(self, features: tuple[float, ...]) -> float:
        """Return seconds."""
        if self._moments is None or self._targets is None:
            return FIRST_GUESS_S
        weights = np.linalg.solve(self._moments + RIDGE * np.eye(self._moments.shape[0]), self._targets)
        return float(np.exp(self._mean + weights @ np.array([1.0, *features])))
