"""Random numbers that belong to a scenario, so that every design, kernel and CPU count sees the same draws."""

from __future__ import annotations

from hashlib import blake2b
from typing import TYPE_CHECKING

import numpy as np

from core.keys import canonical

if TYPE_CHECKING:
    from core.params import Point


def scenario_id(point: Point) -> str:
    """Name the scenario of a point: 16 hex digits of its workload, churn, duration, seed and replicate.

    Design, CPUs, batch, kernel, host and every other setting are left out: they decide what a kernel does with the
    events, never which events there are.
    """
    return blake2b(canonical(point, "scenario").encode(), digest_size=8).hexdigest()


def generator(point: Point, purpose: str) -> np.random.Generator:
    """Return a Philox generator keyed by the scenario of a point and by what the draws are for.

    Philox is counter based (Salmon et al., SC11): the stream is a function of the key alone, whatever process,
    machine or order asks for it. A second purpose is an independent stream, so adding draws to one part of the model
    leaves every other part as it was.
    """
    return keyed_generator(canonical(point, "scenario"), purpose)


def keyed_generator(key: str, purpose: str) -> np.random.Generator:
    """Return the generator of a key that is less than the whole scenario, for draws that several scenarios share."""
    digest = blake2b(f"{key}\0{purpose}".encode(), digest_size=16).digest()
    return np.random.Generator(np.random.Philox(key=np.frombuffer(digest, "<u8")))
