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


@part
def hash_of(seed, n):  # type: ignore[no-untyped-def]
    """32 bits: the upper half of number `n`, from 0 on, of SplitMix64 from a seed."""
    return np.uint32(finalise(seed + np.uint64(n + 1) * GOLDEN) >> np.uint64(32))


@part
def cpu_of_hash(hash32, cpus):  # type: ignore[no-untyped-def]
    """CPU that 32 bits fall on: the same ones spread over any number of CPUs."""
    return np.int64((np.uint64(hash32) * np.uint64(cpus)) >> np.uint64(32))
