"""One scenario under one design on one machine: what its memcgs leave behind, in counts and in bytes, and books."""

from __future__ import annotations

from math import ceil
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from core.designs import Design
from core.lifecycle.leftovers import CACHES, DYING, DYING_WITH_CACHES, OWN_OBJECTS, SLABS, Rules, state
from core.lifecycle.pinning import SAMPLES, pin
from core.lifecycle.population import STEPS, Population, tick_turnovers
from core.lifecycle.reuse import Fairness, take_over
from core.lifecycle.seats import Charges
from core.lifecycle.weights import Weights, geometry_of, own_slabs, weigh
from core.params import Point
from core.workload import PAGE_CACHE

KIB, MIB = 2**10, 2**20
UNTOUCHED = Fairness(0.0, 0.0, 0.0, 0.0)  # where nobody inherits


class Life(NamedTuple):
    """What became of a scenario under one design on one machine; component axes follow COMPONENTS."""

    counts: NDArray[np.int64]  # [SAMPLES, counts]
    mean_counts: NDArray[np.float64]  # [counts] over time
    live: NDArray[np.int64]  # [SAMPLES, components] bytes of online memcgs
    dead: NDArray[np.int64]  # [SAMPLES, components] bytes of gone memcgs
    mean_dead_bytes: float
    turnovers: float
    fairness: Fairness


def live(point: Point, design: Design, population: Population) -> Life:
    """Walk a design, on the point's kernel and machine, through a scenario."""
    load, weights = point.workload, weigh(point, design)
    rules = make_rules(point, design, population, weights)
    fairness = UNTOUCHED
    if design.reuses_dead:
        counts, sums, clock, fairness = take_over(population, rules, _charges(point))
    else:
        counts, sums, clock = pin(population, rules)
    online = population.online[STEPS // SAMPLES - 1 :: STEPS // SAMPLES]
    return Life(
        counts=counts,
        mean_counts=sums / STEPS,
        live=np.rint(np.outer(online, weights.online) + weights.resident).astype(np.int64),
        dead=np.rint(counts @ weights.counted.T).astype(np.int64),
        mean_dead_bytes=float((weights.counted @ (sums / STEPS)).sum()),
        turnovers=clock * tick_turnovers(load, population.step_s),
        fairness=fairness,
    )


def make_rules(point: Point, design: Design, population: Population, weights: Weights) -> Rules:
    """Return what a design, on the point's kernel and machine, makes of a scenario."""
    load, kinds = point.workload, list(point.workload.leftovers)
    return Rules(
        own_caches=design.per_memcg_caches,
        slab_pins_memcg=design.slab_pins == "memcg",
        lru_pins_memcg=not point.folio_reparenting,
        stacks_pin_memcg=design.accounts and point.kernel.stacks_pin_memcg,
        cpu_slabs=point.allocator == "slub",
        cpus=point.cpus,
        kinds=len(kinds),
        page_kind=kinds.index(PAGE_CACHE) if PAGE_CACHE in kinds else -1,
        allocated=np.array([load.caches.get(name, 0) for name in kinds], dtype=np.int64),
        slab_objects=np.array([1 if name == PAGE_CACHE else geometry_of(point, name).objects for name in kinds]),
        stays=load.cpu_moves + 1,
        life_mu=float(np.log(load.lifetime_s) - load.lifetime_sigma**2 / 2),
        life_sigma=float(load.lifetime_sigma),
        cache_creation_s=float(load.cache_creation_s),
        page_cache_bytes=float(load.pressure.memory_mib - load.pressure.in_use_mib) * MIB,
        live_bytes=population.online * weights.online.sum() + weights.resident.sum(),
        bytes_each=weights.counted.sum(axis=0),
    )


def _charges(point: Point) -> Charges:
    load = point.workload
    slabs = {name: geometry_of(point, name) for name in load.leftovers if name != PAGE_CACHE}
    return Charges(
        slabs=np.array(
            [ceil(own_slabs(point, slabs[name], load.caches[name])) if name in slabs else 0 for name in load.leftovers]
        ),
        slab_bytes=np.array(
            [
                float(slabs[name].pages * point.kernel.page_bytes if name in slabs else load.file_kib * KIB)
                for name in load.leftovers
            ]
        ),
        own_bytes=load.working_set_mib * MIB,
        limit_bytes=load.memory_limit_mib * MIB,
        mean_online=point.churn_hz * load.lifetime_s,
    )


def check_books(life: Life, point: Point) -> None:
    """Raise AssertionError, with both numbers, unless what is counted and what is billed can be true together."""
    kinds = len(point.workload.leftovers)
    for kind, name in enumerate(point.workload.leftovers):
        if name == PAGE_CACHE:
            continue
        own = life.counts[:, state(OWN_OBJECTS, kind, kinds)]
        slabs = life.counts[:, state(SLABS, kind, kinds)]
        caches = life.counts[:, state(CACHES, kind, kinds)]
        room = slabs * geometry_of(point, name).objects
        _ordered(point, f"{name}: dangling kmem_caches, their slabs", caches, slabs)
        _ordered(point, f"{name}: slabs of gone memcgs, objects on them", slabs, own)
        _ordered(point, f"{name}: objects on slabs of gone memcgs, room there", own, room)
    dying, with_caches = life.counts[:, DYING], life.counts[:, DYING_WITH_CACHES]
    _ordered(point, "dying memcgs with kmem_caches, dying memcgs", with_caches, dying)
    _ordered(point, "0, any count", np.zeros(1, np.int64), life.counts.min())
    _ordered(point, "0, bytes of any component", np.zeros(1, np.int64), min(life.live.min(), life.dead.min()))


def _ordered(point: Point, what: str, low: NDArray[np.int64], high: NDArray[np.int64] | np.int64) -> None:
    if np.any(low > high):
        raise AssertionError(f"{point.design} at {point.cpus} CPUs: {what}: {np.max(low - high)} too many")
