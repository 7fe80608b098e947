"""Random bits as a function of a number: the finaliser of SplitMix64 (Steele et al., OOPSLA 2014)."""

from __future__ import annotations

import numpy as np

from core.compiled import part

GOLDEN = np.uint64(0x9E3779B97F4A7C15)  # what SplitMix64 adds for each draw


@part
def finalise(x):  # type: ignore[no-untyped-def]
    """64 bits, each of which depends on every bit of `x`, a uint64."""
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))
