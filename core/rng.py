"""Random numbers that belong to a scenario, so that every design, kernel and CPU count sees the same draws."""

from __future__ import annotations

import json
from dataclasses import asdict
from hashlib import blake2b
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from core.params import Point


def scenario_id(point: Point) -> str:
    """Name the scenario of a point: 16 hex digits of its workload, churn, duration, seed and replicate.

    Design, CPUs, batch, kernel, host and every other setting are left out: they decide what a kernel does with the
    events, never which events there are.
    """
    return blake2b(_canonical(point), digest_size=8).hexdigest()


def generator(point: Point, purpose: str) -> np.random.Generator:
    """Return a Philox generator keyed by the scenario of a point and by what the draws are for.

    Philox is counter based (Salmon et al., SC11): the stream is a function of the key alone, whatever process,
    machine or order asks for it. A second purpose is an independent stream, so adding draws to one part of the model
    leaves every other part as it was.
    """
    digest = blake2b(_canonical(point) + b"\0" + purpose.encode(), digest_size=16).digest()
    return np.random.Generator(np.random.Philox(key=np.frombuffer(digest, "<u8")))


def _canonical(point: Point) -> bytes:
    fields = {
        "workload": asdict(point.workload),
        "churn_hz": point.churn_hz,
        "duration_s": point.duration_s,
        "seed": point.seed,
        "replicate": point.replicate,
    }
    return json.dumps(fields, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()
