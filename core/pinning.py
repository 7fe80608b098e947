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

from core.population import NEVER, STEPS, TICKS_PER_STEP, Common, Followed

SAMPLES = 64  # of the counts over a scenario, evenly spaced, the last one at its end
SPEED_LIMIT = 16  # reclaim does not get faster than this: below 1/16 of its page cache a host is out of memory
CALENDAR_TICKS = STEPS * TICKS_PER_STEP * SPEED_LIMIT

# What is counted. After the first three, one number per kind of leftover (index into Workload.leftovers).
DYING, DYING_WITH_CACHES, OBJCGS = range(3)
CACHES, SLABS, OWN_OBJECTS, SHARED_OBJECTS = range(4)  # dangling caches; slabs of gone memcgs; objects there, elsewhere
GOLDEN = np.uint64(0x9E3779B97F4A7C15)


def state(which: int, kind: int, kinds: int) -> int:
    """Index of a per-kind count among all counts."""
    return 3 + which * kinds + kind


class Rules(NamedTuple):
    """What a design, a kernel and a machine make of the scenario."""

    own_caches: bool  # each memcg has its own kmem_caches
    slab_pins_memcg: bool
    lru_pins_memcg: bool
    stacks_pin_memcg: bool
    cpu_slabs: bool  # each CPU allocates from a slab of its own (SLUB)
    cpus: int
    page_kind: int  # which kind of leftover is page cache; -1: none
    allocated: NDArray[np.int64]  # [kinds] objects that a memcg allocates
    slab_objects: NDArray[np.int64]  # [kinds]
    stays: int  # on a CPU, per memcg
    life_mu: float  # lognormal lifetime
    life_sigma: float
    cache_creation_s: float
    page_cache_bytes: float  # of the host, were there no cgroups
    live_bytes: NDArray[np.float64]  # [STEPS] of live memcgs
    bytes_each: NDArray[np.float64]  # [counts] of what is counted here


@njit(cache=True)
def pin(
    step_s: float,
    arrivals: NDArray[np.int64],
    followed: Followed,
    common: Common,
    rules: Rules,
    leaves: NDArray[np.int32],
) -> tuple[NDArray[np.int64], NDArray[np.int64], float]:
    """Walk through a scenario; returns the counts as sampled, their sums over all steps, and the clock at the end.

    leaves: `[CALENDAR_TICKS, counts]`, zeros: the calendar, an argument so that the operating system's untouched zero
    pages can serve. Returns `([SAMPLES, counts], [counts], ticks)`.
    """
    memcgs, objects, kinds = followed.key.size, common.kind.size, rules.slab_objects.size
    count = np.zeros(leaves.shape[1], np.int64)
    sums = np.zeros_like(count)
    samples = np.zeros((SAMPLES, count.size), np.int64)

    turn = np.zeros(objects, np.int64)  # how often an object was evicted
    wait = np.zeros(objects, np.int64)  # missing objects: rank of the memcg that will need it, from this step's first
    missing = np.empty(objects, np.int64)
    missing_n = 0
    evicts = np.full(CALENDAR_TICKS, -1, np.int64)  # objects evicted at a tick: a linked list
    evicts_next = np.empty(objects, np.int64)
    for j in range(objects):  # at the start every common object is cached, and charged to the root
        end = _age(common, j, turn[j])
        _keep(count, leaves, 3 + SHARED_OBJECTS * kinds + common.kind[j], end, common.kind[j] != rules.page_kind)
        if end < CALENDAR_TICKS:
            evicts_next[j] = evicts[end]
            evicts[end] = j

    # Common objects that a memcg, while online, is charged for: lists of entries, strung on the memcg's first entry.
    entry = np.empty((max(objects, 16), 5), np.int64)  # sibling, memcg of the same step, kind, end, spot
    entry_key = np.empty(entry.shape[0], np.uint32)
    used_entries, free = 0, -1
    entry_of = np.full(memcgs, -1, np.int64)  # of a followed memcg
    other_due = np.full(STEPS + 1, -1, np.int64)  # other memcgs that go offline in a step
    due = np.full(STEPS + 1, -1, np.int64)  # followed ones
    due_next = np.empty(memcgs, np.int64)
    pinned_until = np.empty(memcgs, np.int64)  # while a stray task's stack pins it
    most = int(arrivals.max()) + 1
    by_rank = np.empty(most, np.int64)  # memcg of this step: a followed one, or memcgs + its first entry
    by_rank_step = np.full(most, -1, np.int64)
    largest = objects
    for m in range(memcgs):
        largest = max(largest, objects + followed.left_start[m + 1] - followed.left_start[m])
    left = np.empty((largest, 4), np.int64)  # kind, end, spot, early: leftovers of the memcg that goes offline

    clock = 0.0
    for step in range(STEPS):
        used = rules.live_bytes[step]
        for i in range(count.size):
            used += count[i] * rules.bytes_each[i]
        spare = max(rules.page_cache_bytes - used, rules.page_cache_bytes / SPEED_LIMIT)
        before = int(clock)
        clock += TICKS_PER_STEP * rules.page_cache_bytes / spare
        now = int(clock)
        n = arrivals[step]

        for tick in range(before, now):
            for i in range(count.size):
                count[i] -= leaves[tick, i]
            j = evicts[tick]
            while j >= 0:
                turn[j] += 1
                wait[j] = _needed(common, j, turn[j], (tick - before + 0.5) / (now - before) * n)
                missing[missing_n] = j
                missing_n += 1
                j = evicts_next[j]

        for m in range(followed.birth_start[step], followed.birth_start[step + 1]):
            by_rank[followed.rank[m]] = m
            by_rank_step[followed.rank[m]] = step
            due_next[m] = due[followed.off_step[m]]
            due[followed.off_step[m]] = m

        still = 0
        for i in range(missing_n):
            j = missing[i]
            end = -1
            rank = np.int64(0)
            while wait[j] < n:  # a memcg of this step needs it
                rank = wait[j]
                end = before + rank * (now - before) // n + _age(common, j, turn[j])
                if end >= now:
                    break
                turn[j] += 1
                wait[j] = _needed(common, j, turn[j], (end - before + 0.5) / (now - before) * n)
            if wait[j] >= n:
                wait[j] -= n
                missing[still] = j
                still += 1
                continue
            if end < CALENDAR_TICKS:
                evicts_next[j] = evicts[end]
                evicts[end] = j
            if free >= 0:
                e = free
                free = entry[e, 0]
            else:
                if used_entries == entry.shape[0]:
                    entry = np.concatenate((entry, np.empty_like(entry)))
                    entry_key = np.concatenate((entry_key, np.empty_like(entry_key)))
                e = used_entries
                used_entries += 1
            entry[e, 0] = -1
            entry[e, 2] = common.kind[j]
            entry[e, 3] = end
            entry[e, 4] = _hash(common.seed, j, turn[j], 2) >> np.uint64(32)
            if by_rank_step[rank] != step:
                by_rank_step[rank] = step
                by_rank[rank] = memcgs + e
                entry_key[e] = _hash(common.seed, j, turn[j], 3) >> np.uint64(32)
                off = min(step + (rank + 0.5) / n + _life_s(entry_key[e], rules) / step_s, float(STEPS))
                entry[e, 1] = other_due[int(off)]
                other_due[int(off)] = e
            elif by_rank[rank] >= memcgs:
                first = by_rank[rank] - memcgs
                entry[e, 0] = entry[first, 0]
                entry[first, 0] = e
            else:
                entry[e, 0] = entry_of[by_rank[rank]]
                entry_of[by_rank[rank]] = e
        missing_n = still

        m = due[step]
        while m >= 0:
            following = due_next[m]
            if followed.off_step[m] == step:
                size = 0
                for i in range(followed.left_start[m], followed.left_start[m + 1]):
                    left[size, 0] = followed.left_kind[i]
                    left[size, 1] = (before + now) // 2 + followed.left_ticks[i]
                    left[size, 2] = followed.left_spot[i]
                    size += 1
                size, free = _take_entries(entry, entry_of[m], left, size, free)
                entry_of[m] = -1
                life_s = followed.life_s[m]
                until = _go_offline(left[:size], followed.key[m], life_s, now, rules, count, leaves)
                stacks = rules.stacks_pin_memcg and followed.stack_step[m] > step
                _die(count, leaves, NEVER if stacks else until, now, life_s > rules.cache_creation_s)
                if stacks:
                    pinned_until[m] = until
                    due_next[m] = due[followed.stack_step[m]]
                    due[followed.stack_step[m]] = m
            else:  # the last stack is gone
                cached = followed.life_s[m] > rules.cache_creation_s
                count[DYING] -= 1
                count[DYING_WITH_CACHES] -= cached
                _die(count, leaves, pinned_until[m], now, cached)
            m = following

        e = other_due[step]
        while e >= 0:
            following = entry[e, 1]
            key = entry_key[e]
            life_s = _life_s(key, rules)
            size, free = _take_entries(entry, e, left, 0, free)
            until = _go_offline(left[:size], key, life_s, now, rules, count, leaves)
            _die(count, leaves, until, now, life_s > rules.cache_creation_s)
            e = following

        sums += count
        if (step + 1) % (STEPS // SAMPLES) == 0:
            samples[(step + 1) // (STEPS // SAMPLES) - 1] = count
    return samples, sums, clock


@njit(cache=True)
def _go_offline(left, key, life_s, now, rules, count, leaves):  # type: ignore[no-untyped-def]
    """Count what a memcg leaves behind; returns the tick until which it is pinned, at most NEVER."""
    kinds = rules.slab_objects.size
    lru_end = slab_end = np.int64(-1)
    for i in range(left.shape[0]):
        left[i, 3] = left[i, 2] * life_s < rules.cache_creation_s * 4294967296.0  # before the memcg's caches existed
    for i in range(left.shape[0]):
        kind, end = left[i, 0], left[i, 1]
        if end < now:
            continue
        if kind == rules.page_kind:
            lru_end = max(lru_end, end)
            continue
        if not rules.own_caches:
            slab_end = max(slab_end, end)
        if not rules.own_caches or left[i, 3]:
            _keep(count, leaves, 3 + SHARED_OBJECTS * kinds + kind, end, True)
            continue
        slab_end = max(slab_end, end)
        last_on_slab = last_in_cache = True
        slab = _slab_of(left[i, 2], key, kind, rules)
        for k in range(left.shape[0]):
            if left[k, 0] == kind and not left[k, 3] and (left[k, 1] > end or (left[k, 1] == end and k > i)):
                last_in_cache = False
                last_on_slab = last_on_slab and _slab_of(left[k, 2], key, kind, rules) != slab
        _keep(count, leaves, 3 + OWN_OBJECTS * kinds + kind, end, True)
        _keep(count, leaves, 3 + SLABS * kinds + kind, end, last_on_slab)
        _keep(count, leaves, 3 + CACHES * kinds + kind, end, last_in_cache)
    _keep(count, leaves, OBJCGS, slab_end, slab_end >= now)
    return max(lru_end * rules.lru_pins_memcg, slab_end * rules.slab_pins_memcg)


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
    return np.int64(((_hash(np.uint64(key), stay, 0, 0) >> np.uint64(32)) * np.uint64(cpus)) >> np.uint64(32))


@njit(cache=True)
def _keep(count, leaves, which, end, condition):  # type: ignore[no-untyped-def]
    if condition:
        count[which] += 1
        if end < CALENDAR_TICKS:
            leaves[end, which] += 1


@njit(cache=True)
def _die(count, leaves, until, now, cached):  # type: ignore[no-untyped-def]
    _keep(count, leaves, DYING, until, until >= now)
    _keep(count, leaves, DYING_WITH_CACHES, until, until >= now and cached)


@njit(cache=True)
def _take_entries(entry, e, left, size, free):  # type: ignore[no-untyped-def]
    """Move a memcg's list of entries to `left`; returns its new size and the new head of the free list."""
    while e >= 0:
        left[size, :3] = entry[e, 2:]
        size += 1
        following = entry[e, 0]
        entry[e, 0] = free
        free = e
        e = following
    return size, free


@njit(cache=True)
def _life_s(key, rules):  # type: ignore[no-untyped-def]
    """Lognormal lifetime of a memcg that is not followed (Box and Muller)."""
    if rules.life_sigma == 0.0:
        return np.exp(rules.life_mu)
    angle = 2 * np.pi * _uniform(np.uint64(key), 0, 0, 5)
    return np.exp(
        rules.life_mu + rules.life_sigma * np.sqrt(-2 * np.log(_uniform(np.uint64(key), 0, 0, 4))) * np.cos(angle)
    )


@njit(cache=True)
def _age(common, j, turn):  # type: ignore[no-untyped-def]
    """Ticks until the object is evicted: exponential."""
    return max(np.int64(min(np.ceil(-np.log(_uniform(common.seed, j, turn, 0)) * common.ticks[j]), float(NEVER))), 1)


@njit(cache=True)
def _needed(common, j, turn, rank):  # type: ignore[no-untyped-def]
    """Rank of the first memcg after `rank` memcgs of the step that needs the object: geometric."""
    if common.touch[j] == 0.0:
        return np.int64(NEVER) << 30
    trials = np.log(_uniform(common.seed, j, turn, 1)) / np.log1p(-common.touch[j])
    return np.int64(min(np.floor(rank) + np.floor(trials), 2.0**60))


@njit(cache=True)
def _uniform(seed, j, turn, use):  # type: ignore[no-untyped-def]
    """A number in (0, 1]."""
    return ((_hash(seed, j, turn, use) >> np.uint64(11)) + np.uint64(1)) * 2.0**-53


@njit(cache=True)
def _hash(seed, j, turn, use):  # type: ignore[no-untyped-def]
    """64 random bits as a function of their place: the finaliser of SplitMix64 (Steele et al., OOPSLA 2014), twice."""
    x = seed + np.uint64(j) * GOLDEN
    for extra in (np.uint64(turn), np.uint64(use)):
        x = x + (extra + np.uint64(1)) * GOLDEN
        x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        x = x ^ (x >> np.uint64(31))
    return x
