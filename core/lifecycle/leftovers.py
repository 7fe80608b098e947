"""A memcg goes offline: what it leaves behind, on which slabs that was, and until when each thing is pinned."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from core.bits import cpu_of_hash
from core.compiled import part
from core.events import record_dtype
from core.lifecycle.population import SPOTS
from core.lifecycle.reclaim import ANGLE, CALENDAR_TICKS, CPU, LIFE, NONE, int64s, random_bits, uniform

# What is counted. After the first four, one number per kind of leftover (index into Workload.leftovers).
DYING, DYING_WITH_CACHES, OBJCGS, IDS = int64s(*range(4))  # IDS: dying memcgs that keep their id
# Dangling caches; slabs of gone memcgs; leftover objects on these slabs; leftover objects on slabs that all share;
# common objects on such slabs that were there at the start, charged to the root. Of the page cache, OWN_OBJECTS are the
# files that are charged to gone memcgs, and there is nothing else.
CACHES, SLABS, OWN_OBJECTS, SHARED_OBJECTS, ROOT_OBJECTS = int64s(*range(5))
FIRST_OF_KINDS, NUMBERS_OF_KIND = int64s(4, 5)

LEFT = record_dtype(kind="i8", end="i8", spot="i8", early="u1")
"""A leftover of the memcg that goes offline: its kind, the tick at which it is reclaimed, its place among what the
memcg allocated, and whether it is older than the memcg's kmem_caches."""

ENTRY = record_dtype(kind="i8", end="i8", spot="i8", sibling="i8", next_due="i8", key="i8")
"""A common object that an online memcg is charged for. Siblings are of the same memcg; the first entry of a memcg that
is not followed also stands for the memcg."""


@part
def state(which: int, kind: int, kinds: int) -> int:
    """Return the index of a per-kind number among all that is counted."""
    return FIRST_OF_KINDS + which * kinds + kind


def counts_of(kinds: int) -> int:
    """Return how many numbers are counted where there are so many kinds of leftovers."""
    return int(FIRST_OF_KINDS + NUMBERS_OF_KIND * kinds)


class Rules(NamedTuple):
    """What a design, a kernel and a machine make of the scenario."""

    own_caches: bool  # each memcg has its own kmem_caches
    slab_pins_memcg: bool
    lru_pins_memcg: bool
    lru_pins_objcg: bool  # reparented folios hold the objcg of the memcg that is gone
    pins: NDArray[np.bool_]  # [PIN_KINDS] which of them pin
    cpu_slabs: bool  # each CPU allocates from a slab of its own (SLUB)
    cpus: int
    kinds: int  # kinds of leftovers
    page_kind: int  # which of them is page cache; -1: none
    allocated: NDArray[np.int64]  # [kinds] objects that a memcg allocates
    slab_objects: NDArray[np.int64]  # [kinds]
    stays: int  # on a CPU, per memcg
    life_mu: float  # lognormal lifetime
    life_sigma: float
    cache_creation_s: float
    page_cache_bytes: float  # of the host, were there no cgroups
    live_bytes: NDArray[np.float64]  # [STEPS] of live memcgs
    bytes_each: NDArray[np.float64]  # [counts] of what is counted here


@part
def go_offline(left, size, key, life_s, now, rules, count, leaves):  # type: ignore[no-untyped-def]
    """Count what a memcg leaves behind to reclaim; returns the tick until which that pins it, -1 if it does not."""
    lru_end, slab_end = NONE, NONE
    for i in range(size):
        left[i].early = left[i].spot * life_s < rules.cache_creation_s * SPOTS
    for i in range(size):
        kind, end = left[i].kind, left[i].end
        if end < now:
            continue
        if kind == rules.page_kind:
            lru_end = max(lru_end, end)
            if rules.lru_pins_memcg:
                keep(count, leaves, state(OWN_OBJECTS, kind, rules.kinds), end)
            continue
        if not rules.own_caches or left[i].early:
            if not rules.own_caches:
                slab_end = max(slab_end, end)
            keep(count, leaves, state(SHARED_OBJECTS, kind, rules.kinds), end)
            continue
        slab_end = max(slab_end, end)
        last_on_slab = last_in_cache = True
        for k in range(size):
            if left[k].kind == kind and not left[k].early and (left[k].end > end or (left[k].end == end and k > i)):
                last_in_cache = False
                if slab_of(left[k].spot, key, kind, rules) == slab_of(left[i].spot, key, kind, rules):
                    last_on_slab = False
        keep(count, leaves, state(OWN_OBJECTS, kind, rules.kinds), end)
        if last_on_slab:
            keep(count, leaves, state(SLABS, kind, rules.kinds), end)
        if last_in_cache:
            keep(count, leaves, state(CACHES, kind, rules.kinds), end)
    objcg_end = slab_end
    if rules.lru_pins_objcg:
        objcg_end = max(slab_end, lru_end)
    if objcg_end != NONE:
        keep(count, leaves, OBJCGS, objcg_end)
    until = NONE
    if rules.lru_pins_memcg:
        until = lru_end
    if rules.slab_pins_memcg:
        until = max(until, slab_end)
    return until


@part
def slab_of(spot, key, kind, rules):  # type: ignore[no-untyped-def]
    """Number of the slab of a memcg's object, given its place among the objects that the memcg allocated.

    The memcg's tasks stay on one CPU after another; what they allocate there comes from that CPU's slabs.
    """
    allocated, size = rules.allocated[kind], rules.slab_objects[kind]
    place = (spot * allocated) >> 32
    if not rules.cpu_slabs or rules.cpus == 1:
        return place // size
    stay = place * rules.stays // allocated
    cpu = cpu_of(key, stay, rules.cpus)
    before = place - -(-stay * allocated // rules.stays)
    for earlier in range(stay):
        if cpu_of(key, earlier, rules.cpus) == cpu:
            before += -(-(earlier + 1) * allocated // rules.stays) - -(-earlier * allocated // rules.stays)
    return before // size * rules.cpus + cpu


@part
def cpu_of(key, stay, cpus):  # type: ignore[no-untyped-def]
    return cpu_of_hash(random_bits(np.uint64(key), stay, NONE, CPU) >> np.uint64(32), cpus)


@part
def keep(count, leaves, which, end):  # type: ignore[no-untyped-def]
    """One more of a thing, until a tick."""
    count[which] += 1
    if end < CALENDAR_TICKS:
        leaves[which, end] += 1


@part
def die(until, now, has_caches, count, leaves):  # type: ignore[no-untyped-def]
    """A memcg is pinned until a tick; returns whether it is at all."""
    if until >= now:
        keep(count, leaves, DYING, until)
        if has_caches:
            keep(count, leaves, DYING_WITH_CACHES, until)
    return until >= now


@part
def take_entries(entries, e, left, size, free):  # type: ignore[no-untyped-def]
    """Move a memcg's list of entries to `left`; returns its new size and the new list of free entries."""
    while e != NONE:
        left[size].kind = entries[e].kind
        left[size].end = entries[e].end
        left[size].spot = entries[e].spot
        size += 1
        following = entries[e].sibling
        entries[e].sibling = free
        free, e = e, following
    return size, free


@part
def life_of(key, rules):  # type: ignore[no-untyped-def]
    """Lognormal lifetime of a memcg that is not followed (Box and Muller)."""
    if rules.life_sigma == 0.0:
        return np.exp(rules.life_mu)
    angle = 2 * np.pi * uniform(np.uint64(key), NONE, NONE, ANGLE)
    radius = np.sqrt(-2 * np.log(uniform(np.uint64(key), NONE, NONE, LIFE)))
    return np.exp(rules.life_mu + rules.life_sigma * radius * np.cos(angle))
