"""Jobs that need no simulation: what the engine does is seen best when the work is trivial."""

from __future__ import annotations

import os
import signal
import time
from dataclasses import dataclass

import numpy as np
import pyarrow as pa


@dataclass(frozen=True)
class Squares:
    """A row per position and three rows per group of `grain`; it may fail, or die, where it is told to."""

    length: int
    grain: int = 10
    poisoned: frozenset[int] = frozenset()
    deadly: frozenset[int] = frozenset()
    seconds: float = 0.0
    tables = ("series", "points")
    per_node = False

    @property
    def grains(self):
        return (1, self.grain)

    def positions(self, nodes):
        return self.length

    def count(self):
        return self.length

    def features(self, position):
        return ()

    def settings(self, position):
        return {"position": position}

    def work(self, start, stop):
        time.sleep(self.seconds * (stop - start))
        positions = np.arange(start, stop)
        if self.deadly & set(positions.tolist()):
            os.kill(os.getpid(), signal.SIGKILL)
        bad = self.poisoned & set(positions.tolist())
        if bad:
            raise ZeroDivisionError(f"position {min(bad)}")
        groups = np.unique(positions // self.grain)
        return {
            "points": pa.table({"position": positions, "square": positions**2}),
            "series": pa.table({"group": np.repeat(groups, 3), "t": np.tile(np.arange(3), groups.size)}),
        }
