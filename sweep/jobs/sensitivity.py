"""The sensitivity job: Sobol indices of what dying cgroups hold, over the keys whose values are assumptions.

Two samples A and B of all keys, and for each key the sample A with that key's column of B (Saltelli et al., Computer
Physics Communications 181, 2010). A position is a row of all of these: keys times plus two lives under one seed.
"""

from __future__ import annotations

import copy
import functools
import operator
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import pyarrow as pa

from core.lifecycle.age import age
from core.params import Point
from sweep.config.records import build
from sweep.config.schema import PLANNED
from sweep.engine.store import Store
from sweep.errors import InputError
from sweep.plan.planner import flat

OUTPUTS = ("dead_bytes_end", "dying_memcgs_end")
SENSITIVITY = pa.schema(
    [
        pa.field(name, kind, metadata={"unit": unit, "doc": doc})
        for name, kind, unit, doc in (
            ("sample", pa.int64(), "1", "row of the samples"),
            ("key", pa.string(), "1", "config path of the assumption"),
            ("output", pa.string(), "1", "result column"),
            ("a", pa.float64(), "column unit", "its value at the row of sample A"),
            ("b", pa.float64(), "column unit", "at the row of sample B"),
            ("ab", pa.float64(), "column unit", "at the row of A with this key's value of B"),
        )
    ]
)


@dataclass(frozen=True)
class Sensitivity:
    """Walks the rows of both samples."""

    base: Mapping[str, Any]  # values of a point
    keys: Mapping[str, tuple[str, float, float]]  # config path -> log or lin, lowest, highest
    samples: int
    seed: int
    inputs = ""
    tables = ("samples",)
    grains = (1,)
    per_node = False

    def positions(self, nodes: int) -> int:  # noqa: ARG002 (the samples are the samples)
        """Return the number of rows of a sample."""
        return self.samples

    def count(self) -> int:
        """Return the number of lives."""
        return self.samples * (len(self.keys) + 2)

    def features(self, position: int) -> tuple[float, ...]:  # noqa: ARG002 (a row takes as long as the next)
        """Return nothing that a cost could depend on."""
        return ()

    def settings(self, position: int) -> Mapping[str, Any]:
        """Return which row a position is."""
        return {"sample": position}

    def work(self, start: int, stop: int) -> dict[str, pa.Table]:
        """Return a row per sample, key and output."""
        a, b = self._unit()
        rows = []
        for sample in range(start, stop):
            of_a, of_b = self._life(a[sample]), self._life(b[sample])
            for at, key in enumerate(self.keys):
                mixed = a[sample].copy()
                mixed[at] = b[sample, at]
                of_ab = self._life(mixed)
                rows += [
                    {"sample": sample, "key": key, "output": name, "a": of_a[name], "b": of_b[name], "ab": of_ab[name]}
                    for name in OUTPUTS
                ]
        return {"samples": pa.Table.from_pylist(rows, SENSITIVITY)}

    def told(self, store: Store) -> Iterator[str]:
        """Yield the share of each key in the variance of what gone memcgs hold, the largest first."""
        from scipy.stats import sobol_indices

        landed = pa.concat_tables([store.read(f"samples/{name}") for name in store.names("samples")])
        rows = [row for row in landed.to_pylist() if row["output"] == OUTPUTS[0]]
        value = {(row["sample"], row["key"]): row for row in rows}
        first = next(iter(self.keys))
        a, b = (np.array([[value[i, first][name] for i in range(self.samples)]]) for name in ("a", "b"))
        ab = np.array([[[value[i, key]["ab"] for i in range(self.samples)]] for key in self.keys])
        a, b, ab = np.log1p(a), np.log1p(b), np.log1p(ab)  # one host in a hundred would decide all
        found = sobol_indices(func={"f_A": a, "f_B": b, "f_AB": ab}, n=self.samples)
        spread = found.bootstrap(confidence_level=0.95)
        low = spread.total_order.confidence_interval.low.ravel()
        high = spread.total_order.confidence_interval.high.ravel()
        total = found.total_order.ravel()
        for at in np.argsort(-total):
            key = list(self.keys)[at]
            yield f"{key}: moves {total[at]:.0%} of the variance of log {OUTPUTS[0]} ({low[at]:.0%} to {high[at]:.0%})"

    def _unit(self) -> tuple[np.ndarray, np.ndarray]:
        from scipy.stats import qmc

        drawn = qmc.Sobol(2 * len(self.keys), rng=self.seed).random(self.samples)
        return drawn[:, : len(self.keys)], drawn[:, len(self.keys) :]

    def _life(self, unit: np.ndarray) -> dict[str, float]:
        values = copy.deepcopy(dict(self.base))
        for at, (path, (scale, low, high)) in enumerate(self.keys.items()):
            value: Any = low * (high / low) ** unit[at] if scale == "log" else low + (high - low) * unit[at]
            *parents, last = path.split(".")
            node = functools.reduce(operator.getitem, parents, values)
            node[last] = round(value) if isinstance(node[last], int) else float(value)
        columns, _ = age([build(Point, values)])
        return {name: float(columns[name][0]) for name in OUTPUTS}


def job(config: Mapping[str, Any]) -> Sensitivity:
    """Return the job of a config: its axes are the keys with their ranges, its sample how many rows."""
    keys = dict(flat(config["axes"]))
    names = {field.name for field in fields(Point)}
    base = {name: value for name, value in config.items() if name in names} | {PLANNED: 0}
    for path, spec in keys.items():
        kind = next(iter(spec), "") if isinstance(spec, Mapping) else ""
        if kind not in ("log", "lin") or len(spec[kind]) != 2 or not spec[kind][0] < spec[kind][1]:
            raise InputError(
                f"axes.{path} must be a range to sample (got {spec!r}); write {{log: [low, high]}}, or lin"
            )
        try:
            node = functools.reduce(operator.getitem, path.split("."), base)
        except (KeyError, TypeError):
            node = None
        if isinstance(node, bool) or not isinstance(node, int | float):
            raise InputError(f"axes.{path} must be a key of numbers (got {node!r} there); --cfg job shows the keys")
    samples, seed = config["sample"].get("n"), config["sample"].get("seed")
    if not isinstance(samples, int) or samples < 2 or samples & (samples - 1) or not isinstance(seed, int):
        raise InputError(
            f"sample must have a seed and n, a power of two (got n={samples!r}, seed={seed!r}); "
            "write sample={method: sobol, n: 256, seed: 1}"
        )
    ranges = {path: (next(iter(spec)), *map(float, next(iter(spec.values())))) for path, spec in keys.items()}
    return Sensitivity(base, ranges, samples, seed)
