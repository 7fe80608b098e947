"""Random numbers that belong to a scenario, so that every design, kernel and CPU count sees the same draws."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from functools import lru_cache
from hashlib import blake2b
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from core.params import Point
    from core.workload import Workload


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
        "churn_hz": point.churn_hz,
        "duration_s": point.duration_s,
        "replicate": point.replicate,
        "seed": point.seed,
    }
    return f'{_json(fields)[:-1]},"workload":{_workload_json(_Itself(point.workload))}}}'.encode()


class _Itself:
    """A cache's key for what has no hash: equal to itself only, and kept alive, so that its id is not used again."""

    def __init__(self, value: Workload) -> None:
        self.value = value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Itself) and other.value is self.value

    def __hash__(self) -> int:
        return id(self.value)


@lru_cache(maxsize=8)
def _workload_json(workload: _Itself) -> str:
    # thousands of points share one workload, and writing it out costs more than simulating a light point
    return _json(asdict(workload.value))


def _json(value: Mapping[str, object]) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
