"""One scenario under one design on one machine: what its memcgs leave behind, in counts and in bytes, and books."""

from __future__ import annotations

from math import ceil
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from core.designs import Design
from core.lifecycle.books import SAMPLES
from core.lifecycle.leftovers import CACHES, DYING, DYING_WITH_CACHES, OWN_OBJECTS, SLABS, Rules, state
from core.lifecycle.memory import MAX_IDS, METERS, lru_ids, lru_pair_bytes
from core.lifecycle.pinning import pin
from core.lifecycle.population import STEPS, Population, tick_turnovers
from core.lifecycle.reuse import Fairness, take_over
from core.lifecycle.seats import Charges
from core.lifecycle.weights import COMPONENTS, LISTS_PER_MOUNT, Weights, geometry_of, own_slabs
from core.params import Point
from core.workload import PAGE_CACHE, PIN_KINDS

KIB, MIB = 2**10, 2**20
SAMPLED = slice(STEPS // SAMPLES - 1, None, STEPS // SAMPLES)  # of STEPS
LRU, IN_SLAB = list(COMPONENTS).index("list_lru"), METERS.index("sunreclaim")
UNTOUCHED = Fairness(0.0, 0.0, 0.0, 0.0)  # where nobody inherits


class Life(NamedTuple):
    """What became of a scenario under one design on one machine; component axes follow COMPONENTS."""

    counts: NDArray[np.int64]  # [SAMPLES, counts]
    mean_counts: NDArray[np.float64]  # [counts] over time
    live: NDArray[np.int64]  # [SAMPLES, components, METERS] bytes of online memcgs and of the root
    dead: NDArray[np.int64]  # [SAMPLES, components, METERS] bytes of gone memcgs
    mean_dead_bytes: float
    turnovers: float
    zombie_share: float
    out_of_memory_s: float  # inf: not in this time
    fairness: Fairness


def live(point: Point, design: Design, weights: Weights, population: Population) -> Life:
    """Walk a design, on the point's kernel and machine, through a scenario."""
    load, lru = point.workload, list_lrus(point, design, population)
    rules = make_rules(point, design, population, weights, lru)
    fairness = UNTOUCHED
    if design.reuses_dead:
        walked, fairness = take_over(population, rules, _charges(point))
    else:
        walked = pin(population, rules)
    counts, sums = walked.samples, walked.sums
    online = population.online[SAMPLED]
    live_bytes = np.multiply.outer(online, weights.online) + weights.resident
    live_bytes += np.tensordot(counts * ~weights.gone, weights.counted, (1, 2))
    dead_bytes = np.tensordot(counts * weights.gone, weights.counted, (1, 2))
    live_bytes[:, LRU, IN_SLAB] += lru.live[SAMPLED]
    dead_bytes[:, LRU, IN_SLAB] += lru.dead[SAMPLED]
    full_s = walked.full_step * population.step_s
    return Life(
        counts=counts,
        mean_counts=sums / STEPS,
        live=np.rint(live_bytes).astype(np.int64),
        dead=np.rint(dead_bytes).astype(np.int64),
        mean_dead_bytes=float(weights.counted.sum(axis=(0, 1)) @ (sums * weights.gone / STEPS) + lru.dead.mean()),
        turnovers=walked.clock * tick_turnovers(load, population.step_s),
        zombie_share=walked.zombie_share,
        out_of_memory_s=full_s if walked.full_step < STEPS else float("inf"),
        fairness=fairness,
    )


class ListLrus(NamedTuple):
    """Bytes of list_lrus that go by memcg ids, whose room for ids never shrinks; `[STEPS]`."""

    live: NDArray[np.int64]
    dead: NDArray[np.int64]  # for ids that were in use at once, and no longer are


def list_lrus(point: Point, design: Design, population: Population) -> ListLrus:
    """Return what the host's list_lrus hold for memcg ids, beside what an online memcg has by itself."""
    load = point.workload
    if not design.accounts or point.kernel.list_lru_rule != "per_id":
        return ListLrus(np.zeros(STEPS, np.int64), np.zeros(STEPS, np.int64))
    ids = population.online * load.memcgs_per_unit + load.resident_memcgs
    peak = np.minimum(np.maximum(np.maximum.accumulate(ids), load.peak_memcg_ids), MAX_IDS)
    peaks, which = np.unique(peak, return_inverse=True)
    room = np.array([lru_ids(int(each)) for each in peaks])[which]
    each_bytes = LISTS_PER_MOUNT * load.mounts * lru_pair_bytes(point.kernel, point.nodes)
    dead = np.maximum(peak - ids, 0)
    return ListLrus(live=(room - dead) * each_bytes, dead=dead * each_bytes)


def pins_of(point: Point, design: Design) -> NDArray[np.bool_]:
    """Which of PIN_KINDS hold a memcg under a design, on the point's kernel."""
    unified = point.cgroup_version == 2
    holds = {
        "stack": design.accounts and point.kernel.stacks_pin_memcg,
        "socket": unified,
        "swap": unified or point.swap_accounting,
        "mlock": not point.folio_reparenting,
        "tmpfs": not point.folio_reparenting,
        "cgwb": unified and point.kernel.cgwb_pins_memcg,
    }
    return np.array([holds[name] for name in PIN_KINDS])


def make_rules(point: Point, design: Design, population: Population, weights: Weights, lru: ListLrus) -> Rules:
    """Return what a design, on the point's kernel and machine, makes of a scenario."""
    load, kinds = point.workload, list(point.workload.leftovers)
    return Rules(
        own_caches=design.per_memcg_caches,
        slab_pins_memcg=design.slab_pins == "memcg",
        lru_pins_memcg=not point.folio_reparenting,
        lru_pins_objcg=design.charges == "bytes" and point.folio_reparenting,
        pins=pins_of(point, design),
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
        live_bytes=population.online * weights.online.sum() + weights.resident.sum() + lru.live + lru.dead,
        bytes_each=weights.counted.sum(axis=(0, 1)),
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
