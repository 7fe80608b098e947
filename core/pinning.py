"""Who is still pinned, and by what: one design at one CPU count walks through a scenario's memcgs.

Two clocks. Wall time goes in steps, at whose ends memcgs have gone offline and counts are read. Reclaim goes in ticks:
memory pressure turns that clock, faster the less memory is left for the page cache, and a leftover object's age is
drawn in ticks, so the feedback of a design's own memory on reclaim is exact up to one step's lag. What dies when is
known as soon as a memcg goes offline (the last object of a slab, of a kmem_cache, of a memcg: a maximum), so a death is
one number in a calendar by tick, and a memcg costs the same however long it is pinned.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from core.commons import (
    ANGLE,
    CALENDAR_TICKS,
    CPU,
    LIFE,
    MEMCG,
    NONE,
    PLACE,
    age_ticks,
    cache_until,
    int64s,
    miss,
    new_common,
    random_bits,
    turn_clock,
    uniform,
)
from core.population import NEVER, STEPS, Population

SAMPLES = 64  # of the counts over a scenario, evenly spaced, the last one at its end

# What is counted. After the first three, one number per kind of leftover (index into Workload.leftovers).
DYING, DYING_WITH_CACHES, OBJCGS = int64s(*range(3))
# Dangling caches; slabs of gone memcgs; leftover objects on these slabs; leftover objects on slabs that all share.
CACHES, SLABS, OWN_OBJECTS, SHARED_OBJECTS = int64s(*range(4))

# A common object that an online memcg is charged for: fields of an entry. Siblings are of the same memcg; the first
# entry of a memcg that is not followed also stands for the memcg.
SIBLING, NEXT_DUE, KIND, END, SPOT, KEY = range(6)
ENTRY_FIELDS = 6


def state(which: int, kind: int, kinds: int) -> int:
    """Return the index of a per-kind number among all that is counted."""
    return 3 + which * kinds + kind


class Rules(NamedTuple):
    """What a design, a kernel and a machine make of the scenario."""

    own_caches: bool  # each memcg has its own kmem_caches
    slab_pins_memcg: bool
    lru_pins_memcg: bool
    stacks_pin_memcg: bool
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


class Charged(NamedTuple):
    """Which memcgs are online and charged for common objects: lists of entries."""

    entries: NDArray[np.int64]  # [capacity, ENTRY_FIELDS]
    of: NDArray[np.int64]  # [memcgs] first entry of a followed memcg; NONE
    due: NDArray[np.int64]  # [STEPS + 1] first entry of the first other memcg that goes offline in a step; NONE
    by_rank: NDArray[np.int64]  # [arrivals] the step's memcgs: a followed one, or memcgs + its first entry
    by_rank_step: NDArray[np.int64]  # [arrivals] step for which by_rank holds


class Books(NamedTuple):
    """What is counted."""

    counted: NDArray[np.int64]  # [counts] now
    leaves: NDArray[np.int32]  # [CALENDAR_TICKS, counts] how many cease at a tick
    sums: NDArray[np.int64]  # [counts] over all steps
    samples: NDArray[np.int64]  # [SAMPLES, counts]
    left: NDArray[np.int64]  # [objects, 4] kind, end, spot, early: leftovers of the memcg that goes offline
    pinned_until: NDArray[np.int64]  # [memcgs] without the stacks of stray tasks


def pin(population: Population, rules: Rules) -> tuple[NDArray[np.int64], NDArray[np.int64], float]:
    """Walk a design through a scenario; returns the counts as sampled, their sums over all steps, the clock at the end.

    Shapes `[SAMPLES, counts]` and `[counts]`; the clock in ticks. The working memory is NumPy's, whose zero pages cost
    nothing until they are touched.
    """
    objects, memcgs, kinds = population.objects.kind.size, population.followed.key.size, rules.kinds
    counts, most_born = 3 + 4 * kinds, int(population.arrivals.max())
    capacity, clock = max(objects, 16), -1.0
    while clock < 0:
        common = new_common(objects)
        charged = Charged(
            entries=np.empty((capacity, ENTRY_FIELDS), np.int64),
            of=np.full(memcgs, NONE, np.int64),
            due=np.full(STEPS + 1, NONE, np.int64),
            by_rank=np.empty(most_born, np.int64),
            by_rank_step=np.full(most_born, NONE, np.int64),
        )
        books = Books(
            counted=np.zeros(counts, np.int64),
            leaves=np.zeros((CALENDAR_TICKS, counts), np.int32),
            sums=np.zeros(counts, np.int64),
            samples=np.zeros((SAMPLES, counts), np.int64),
            left=np.empty((objects + int(np.diff(population.followed.left_start).max(initial=0)), 4), np.int64),
            pinned_until=np.empty(memcgs if population.followed.stray.size else 0, np.int64),
        )
        clock = _walk(population, rules, common, charged, books)
        capacity *= 4
    return books.samples, books.sums, clock


@njit(cache=True)
def _walk(population, rules, common, charged, books):  # type: ignore[no-untyped-def]
    """Fill the books; returns the clock at the end, or -1 if there are too few entries."""
    step_s, arrivals, _, followed, objects = population
    # Arrays by themselves: Numba counts references, atomically, whenever one is taken out of a tuple.
    count, leaves, left = books.counted, books.leaves, books.left
    entries, entry_of = charged.entries, charged.of
    left_start, left_kind, left_ticks, left_spot = (
        followed.left_start, followed.left_kind, followed.left_ticks, followed.left_spot
    )  # fmt: skip
    life_s, key, stack_step = followed.life_s, followed.key, followed.stack_step
    fresh = stray = missing = np.int64(0)
    free, clock = NONE, 0.0
    for j in range(objects.kind.size):  # at the start all are cached, and charged to the root
        end, kind = age_ticks(objects, j, np.int64(0)), np.int64(objects.kind[j])
        cache_until(end, j, common)
        if kind != rules.page_kind:
            _keep(count, leaves, _state(SHARED_OBJECTS, kind, rules.kinds), end)

    for step in range(STEPS):
        used = rules.live_bytes[step]
        for i in range(count.size):
            used += count[i] * rules.bytes_each[i]
        before = int(clock)
        clock = turn_clock(clock, used, rules.page_cache_bytes)
        now, born = int(clock), arrivals[step]

        missing = _reclaim(before, now, born, missing, objects, common, books)
        for i in range(followed.birth_start[step], followed.birth_start[step + 1]):
            charged.by_rank[followed.rank[i]] = followed.birth_order[i]
            charged.by_rank_step[followed.rank[i]] = step
        if fresh + missing > charged.entries.shape[0]:
            return -1.0
        missing, fresh, free = _allocate(
            step, step_s, before, now, born, missing, fresh, free, objects, rules, common, charged
        )
        for m in range(followed.off_start[step], followed.off_start[step + 1]):
            size = np.int64(0)
            for k in range(left_start[m], left_start[m + 1]):
                left[size, 0] = left_kind[k]
                left[size, 1] = (before + now) // 2 + left_ticks[k]
                left[size, 2] = left_spot[k]
                size += 1
            if entry_of[m] != NONE:
                size, free = _take_entries(entries, entry_of[m], left, size, free)
            has_caches = life_s[m] > rules.cache_creation_s
            until = _go_offline(left, size, np.int64(key[m]), life_s[m], now, rules, count, leaves)
            if rules.stacks_pin_memcg and stack_step[m] > step:
                books.pinned_until[m] = until
                until = np.int64(NEVER)
            _die(until, now, has_caches, count, leaves)
        while stray < followed.stray.size and stack_step[followed.stray[stray]] == step:
            m = followed.stray[stray]  # its last stack is gone
            if rules.stacks_pin_memcg:
                has_caches = life_s[m] > rules.cache_creation_s
                count[DYING] -= 1
                count[DYING_WITH_CACHES] -= has_caches
                _die(books.pinned_until[m], now, has_caches, count, leaves)
            stray += 1
        e = charged.due[step]
        while e != NONE:
            following, its_key = entries[e, NEXT_DUE], entries[e, KEY]
            its_life_s = _life_s(its_key, rules)
            size, free = _take_entries(entries, e, left, np.int64(0), free)
            until = _go_offline(left, size, its_key, its_life_s, now, rules, count, leaves)
            _die(until, now, its_life_s > rules.cache_creation_s, count, leaves)
            e = following

        for i in range(count.size):
            books.sums[i] += count[i]
            if (step + 1) % (STEPS // SAMPLES) == 0:
                books.samples[(step + 1) // (STEPS // SAMPLES) - 1, i] = count[i]
    return clock


@njit(cache=True)
def _reclaim(before, now, born, missing, objects, common, books):  # type: ignore[no-untyped-def]
    """Turn the reclaim clock: what is due ceases, and evicted common objects are missing; returns how many now are."""
    for tick in range(before, now):
        for i in range(books.counted.size):
            books.counted[i] -= books.leaves[tick, i]
        j = common.evicts[tick]
        while j != NONE:
            miss(j, tick, before, now, born, objects, common)
            common.missing[missing] = j
            missing += 1
            j = common.evicts_next[j]
    return missing


@njit(cache=True)
def _allocate(step, step_s, before, now, born, missing, fresh, free, objects, rules, common, charged):  # type: ignore[no-untyped-def]
    """Give the missing objects to the memcgs born in this step that need them; returns `(missing, fresh, free)`.

    An object that is evicted again before the step is over may find its next memcg in the same step. `fresh` entries
    were never used; `free` is the list of those given back.
    """
    still_missing, memcgs, entries = 0, charged.of.size, charged.entries
    for i in range(missing):
        j, end = common.missing[i], NONE
        while common.wait[j] < born:
            end = before + common.wait[j] * (now - before) // born + age_ticks(objects, j, common.turn[j])
            if end >= now:
                break
            miss(j, end, before, now, born, objects, common)
        rank, turn = common.wait[j], common.turn[j]
        if rank >= born:
            common.wait[j] -= born
            common.missing[still_missing] = j
            still_missing += 1
            continue
        cache_until(end, j, common)
        if free != NONE:
            e, free = free, entries[free, SIBLING]
        else:
            e, fresh = fresh, fresh + 1
        entries[e, KIND] = objects.kind[j]
        entries[e, END] = end
        entries[e, SPOT] = random_bits(objects.seed, j, turn, PLACE) >> np.uint64(32)
        entries[e, SIBLING] = NONE
        if charged.by_rank_step[rank] != step:
            charged.by_rank_step[rank] = step
            charged.by_rank[rank] = memcgs + e
            entries[e, KEY] = random_bits(objects.seed, j, turn, MEMCG) >> np.uint64(32)
            off = int(min(step + (rank + 0.5) / born + _life_s(entries[e, KEY], rules) / step_s, float(STEPS)))
            entries[e, NEXT_DUE] = charged.due[off]
            charged.due[off] = e
        elif charged.by_rank[rank] < memcgs:
            entries[e, SIBLING] = charged.of[charged.by_rank[rank]]
            charged.of[charged.by_rank[rank]] = e
        else:
            first = charged.by_rank[rank] - memcgs
            entries[e, SIBLING] = entries[first, SIBLING]
            entries[first, SIBLING] = e
    return still_missing, fresh, free


@njit(cache=True)
def _go_offline(left, size, key, life_s, now, rules, count, leaves):  # type: ignore[no-untyped-def]
    """Count what a memcg leaves behind; returns the tick until which it is pinned, -1 if by nothing."""
    lru_end, slab_end = NONE, NONE
    for i in range(size):
        left[i, 3] = left[i, 2] * life_s < rules.cache_creation_s * 4294967296.0  # before the memcg's caches existed
    for i in range(size):
        kind, end = left[i, 0], left[i, 1]
        if end < now:
            continue
        if kind == rules.page_kind:
            lru_end = max(lru_end, end)
            continue
        if not rules.own_caches or left[i, 3]:
            if not rules.own_caches:
                slab_end = max(slab_end, end)
            _keep(count, leaves, _state(SHARED_OBJECTS, kind, rules.kinds), end)
            continue
        slab_end = max(slab_end, end)
        last_on_slab = last_in_cache = True
        for k in range(size):
            if left[k, 0] == kind and not left[k, 3] and (left[k, 1] > end or (left[k, 1] == end and k > i)):
                last_in_cache = False
                if _slab_of(left[k, 2], key, kind, rules) == _slab_of(left[i, 2], key, kind, rules):
                    last_on_slab = False
        _keep(count, leaves, _state(OWN_OBJECTS, kind, rules.kinds), end)
        if last_on_slab:
            _keep(count, leaves, _state(SLABS, kind, rules.kinds), end)
        if last_in_cache:
            _keep(count, leaves, _state(CACHES, kind, rules.kinds), end)
    if slab_end != NONE:
        _keep(count, leaves, OBJCGS, slab_end)
    until = NONE
    if rules.lru_pins_memcg:
        until = lru_end
    if rules.slab_pins_memcg:
        until = max(until, slab_end)
    return until


@njit(cache=True)
def _slab_of(spot, key, kind, rules):  # type: ignore[no-untyped-def]
    """Number of the slab of a memcg's object, given its place among the objects that the memcg allocated.

    The memcg's tasks stay on one CPU after another; what they allocate there comes from that CPU's slabs.
    """
    allocated, size = rules.allocated[kind], rules.slab_objects[kind]
    place = (spot * allocated) >> 32
    if not rules.cpu_slabs or rules.cpus == 1:
        return place // size
    stay = place * rules.stays // allocated
    cpu = _cpu_of(key, stay, rules.cpus)
    before = place - -(-stay * allocated // rules.stays)
    for earlier in range(stay):
        if _cpu_of(key, earlier, rules.cpus) == cpu:
            before += -(-(earlier + 1) * allocated // rules.stays) - -(-earlier * allocated // rules.stays)
    return before // size * rules.cpus + cpu


@njit(cache=True)
def _cpu_of(key, stay, cpus):  # type: ignore[no-untyped-def]
    hash32 = random_bits(np.uint64(key), stay, NONE, CPU) >> np.uint64(32)
    return np.int64((hash32 * np.uint64(cpus)) >> np.uint64(32))


@njit(cache=True)
def _state(which, kind, kinds):  # type: ignore[no-untyped-def]
    return 3 + which * kinds + kind


@njit(cache=True)
def _keep(count, leaves, which, end):  # type: ignore[no-untyped-def]
    """One more of a thing, until a tick."""
    count[which] += 1
    if end < CALENDAR_TICKS:
        leaves[end, which] += 1


@njit(cache=True)
def _die(until, now, has_caches, count, leaves):  # type: ignore[no-untyped-def]
    if until >= now:
        _keep(count, leaves, DYING, until)
        if has_caches:
            _keep(count, leaves, DYING_WITH_CACHES, until)


@njit(cache=True)
def _take_entries(entries, e, left, size, free):  # type: ignore[no-untyped-def]
    """Move a memcg's list of entries to `left`; returns its new size and the new list of free entries."""
    while e != NONE:
        left[size, 0] = entries[e, KIND]
        left[size, 1] = entries[e, END]
        left[size, 2] = entries[e, SPOT]
        size += 1
        following = entries[e, SIBLING]
        entries[e, SIBLING] = free
        free, e = e, following
    return size, free


@njit(cache=True)
def _life_s(key, rules):  # type: ignore[no-untyped-def]
    """Lognormal lifetime of a memcg that is not followed (Box and Muller)."""
    if rules.life_sigma == 0.0:
        return np.exp(rules.life_mu)
    angle = 2 * np.pi * uniform(np.uint64(key), NONE, NONE, ANGLE)
    radius = np.sqrt(-2 * np.log(uniform(np.uint64(key), NONE, NONE, LIFE)))
    return np.exp(rules.life_mu + rules.life_sigma * radius * np.cos(angle))
