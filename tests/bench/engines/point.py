"""What every engine does for a point: about a millisecond of arithmetic whose value depends on the seed alone."""

import numpy as np

BLOCKS, DRAWS = 24, 4096  # in blocks of 32 KiB: larger ones go back to the system each time, in some processes only


def cost(seed):
    """Return the mean of some random numbers' logarithms."""
    generator = np.random.Generator(np.random.Philox(seed))
    return float(np.mean([np.log(generator.random(DRAWS)).mean() for _ in range(BLOCKS)]))
