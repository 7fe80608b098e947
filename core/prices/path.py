"""The price of a kernel's charge path, out of what its system calls took with accounting and without."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from core.charge.count import count
from core.designs import DESIGNS
from core.keys import resolved
from core.params import Point


def one_process(whole: Point, caches: Mapping[str, float]) -> Point:
    """Return a point at which one CPU allocates and frees objects of `caches` (in proportion) in one memcg."""
    mix = replace(
        whole.workload.charge,
        memcgs_per_cpu=0.0,
        home_cpus=1,
        migrates=0.0,
        short_lived=1.0,
        outlives=0.0,
        remote_frees=0.0,
        caches={name: number / sum(caches.values()) for name, number in caches.items()},
    )
    return resolved(replace(whole, workload=replace(whole.workload, charge=mix), churn_hz=0.0, cpus=1))


def path_price(whole: Point, caches: Mapping[str, float], object_ns: float) -> tuple[str, float] | None:
    """Return which price of a host an object's accounting says, and that price, ns; None if it says none.

    whole: a kernel and a host; the program allocates and frees objects of `caches` (in proportion), one CPU in one
    memcg. object_ns: what accounting costs an object, allocated and freed, in the mean. Where bytes are charged the
    price is that of an operation on a CPU's stock of bytes, of which an object has two; before, that of a per-CPU
    operation. What else an object asks for has the host's own prices, as in `core.prices.contention`.
    """
    point = one_process(whole, caches)
    found, host = count([point]), point.host
    objects = float(found["objects_allocated"][0])
    percpu, charges, uncharges, atomics = (
        float(found[name][0]) / objects for name in ("percpu_ops", "page_charges", "page_uncharges", "shared_atomics")
    )
    calls = charges + uncharges
    left = object_ns - atomics * (host.atomic_call_ns + host.t_local_ns) - percpu * host.t_plain_ns
    if DESIGNS[point.design].charges == "bytes":
        name, price = "byte_stock_ns", (left - (percpu + calls) * host.percpu_call_ns) / 2
    elif percpu + calls:
        name, price = "percpu_call_ns", left / (percpu + calls)
    else:
        return None
    return (name, price) if price > 0 else None
