"""Draws that are a function of their place: as random as they must be, and never one for two places."""

import numpy as np
from numba import njit
from scipy import stats

from core.lifecycle import reclaim

random_bits, uniform = njit(reclaim.random_bits), njit(reclaim.uniform)  # in Python they warn of what wraps round
SIDE = 64  # places are small numbers: objects, turns, steps, uses
FALSE_ALARM = 1e-5  # of each test, for a seed that nobody chose


def test_no_two_places_share_a_draw():
    """All (object, turn, use) have 64 bits of their own: two that were alike by chance are one in 10**8 runs."""
    seed = np.uint64(20190417)

    bits = {int(random_bits(seed, j, turn, use)) for j in range(SIDE) for turn in range(SIDE) for use in range(10)}

    assert len(bits) == SIDE * SIDE * 10


def test_draws_are_uniform_along_every_axis():
    """The number of draws in each of 64 bins, over objects and turns, is that of a fair die; and so for each use."""
    for use in range(10):
        draws = [uniform(np.uint64(7), j, turn, use) for j in range(SIDE) for turn in range(SIDE)]
        assert stats.chisquare(np.histogram(draws, SIDE, (0, 1))[0]).pvalue > FALSE_ALARM / 10


def test_neighbours_are_independent():
    """Draws of places that differ by one in one place, or by one up and one down in two, do not go together."""
    shape = (SIDE, SIDE, 4)
    draws = np.array([uniform(np.uint64(11), *place) for place in np.ndindex(shape)]).reshape(shape)
    pairs = {
        "object": (draws[:-1], draws[1:]),
        "turn": (draws[:, :-1], draws[:, 1:]),
        "use": (draws[..., :-1], draws[..., 1:]),
        "object and turn": (draws[:-1, 1:], draws[1:, :-1]),
        "turn and use": (draws[:, :-1, 1:], draws[:, 1:, :-1]),
    }

    for name, (one, other) in pairs.items():
        assert stats.pearsonr(one.ravel(), other.ravel()).pvalue > FALSE_ALARM / len(pairs), name
