"""What every engine does for a point: about a millisecond of arithmetic whose value depends on the seed alone."""

import numpy as np

DRAWS = 60_000


def cost(seed):
    """Return the mean of some random numbers' logarithms."""
    return float(np.log(np.random.Generator(np.random.Philox(seed)).random(DRAWS)).mean())
