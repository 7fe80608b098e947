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
from numpy.typing import NDArray

from core.compiled import entry, part
from core.lifecycle.books import FREE, FRESH, FULL_STEP, SAMPLES, ZOMBIES, Step, count_singles, new_books, weigh_singles
from core.lifecycle.leftovers import (
    DYING,
    DYING_WITH_CACHES,
    IDS,
    ROOT_OBJECTS,
    Rules,
    die,
    go_offline,
    keep,
    life_of,
    state,
    take_entries,
)
from core.lifecycle.population import NEVER, STEPS, Population
from core.lifecycle.reclaim import (
    CALENDAR_TICKS,
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
)
from core.workload import PIN_KINDS

(SWAP,) = int64s(PIN_KINDS.index("swap"))


class Walked(NamedTuple):
    """What a walk through a scenario saw."""

    samples: NDArray[np.int64]  # [SAMPLES, counts]
    sums: NDArray[np.int64]  # [counts] over all steps
    clock: float  # of reclaim, at the end, in ticks
    zombie_share: float  # of memcgs gone: still there at the end of the step in which they went offline
    full_step: int  # the first in which nothing is left for the page cache; STEPS: none


def pin(population: Population, rules: Rules) -> Walked:
    """Walk a design through a scenario."""
    objects = population.objects.kind.size
    capacity, clock = max(objects, 16), -1.0
    while clock < 0:
        common = new_common(objects)
        charged, books, singles = new_books(population, rules, capacity)
        clock = _walk(population, rules, common, charged, books, singles)
        capacity *= 4
    zombies, full_step = (int(each) for each in books.seen)
    gone = int(population.arrivals.sum() - population.online[-1])
    return Walked(books.samples, books.sums, clock, zombies / max(gone, 1), full_step)


@part
def use(rules, count, number, seen):  # type: ignore[no-untyped-def]
    """Return the bytes that memcgs use in a step; the first that leaves the page cache nothing is seen."""
    used = rules.live_bytes[number]
    for i in range(count.size):
        used += count[i] * rules.bytes_each[i]
    if used >= rules.page_cache_bytes and seen[FULL_STEP] == STEPS:
        seen[FULL_STEP] = number
    return used


@entry
def _walk(population, rules, common, charged, books, singles):  # type: ignore[no-untyped-def]
    """Fill the books; returns the clock at the end, or -1 if there are too few entries."""
    step_s, arrivals, _, followed, objects = population
    count, unused = books.counted, charged.unused
    weigh_singles(rules, books, singles)
    _cache_all(objects, rules, common, books)
    missing, zombies, clock = np.int64(0), np.int64(0), 0.0
    for number in range(STEPS):
        before = int(clock)
        clock = turn_clock(clock, use(rules, count, number, books.seen), rules.page_cache_bytes)
        step = Step(number, before, int(clock), arrivals[number])

        missing = _reclaim(step, missing, objects, common, books, singles)
        if unused[FRESH] + missing > charged.entries.size:
            return -1.0
        missing = _allocate(step, step_s, missing, followed, objects, rules, common, charged)
        more = _leave_alone(step, followed, charged, singles)
        zombies += count_singles(books, singles)
        zombies += _leave(step, more, followed, rules, charged, books)
        _let_go(number, step.now, followed, rules, books)

        for i in range(count.size):
            books.sums[i] += count[i]
            if (number + 1) % (STEPS // SAMPLES) == 0:
                books.samples[(number + 1) // (STEPS // SAMPLES) - 1, i] = count[i]
    books.seen[ZOMBIES] = zombies
    return clock


@part
def _cache_all(objects, rules, common, books):  # type: ignore[no-untyped-def]
    """At the start all common objects are cached, and charged to the root."""
    for j in range(objects.kind.size):
        end, kind = age_ticks(objects, j, np.int64(0)), np.int64(objects.kind[j])
        cache_until(end, j, common)
        if kind != rules.page_kind:
            keep(books.counted, books.leaves, state(ROOT_OBJECTS, kind, rules.kinds), end)


@part
def _leave_alone(step, followed, charged, singles):  # type: ignore[no-untyped-def]
    """Memcgs that leave one thing go offline; returns how many of them are charged for more, which are noted."""
    # Arrays by themselves: what is taken out of a tuple again and again is compiled again and again.
    (start, memcg, ticks), entry_of, noted = followed.alone, charged.of, charged.noted
    came, leaves = singles.came, singles.leaves
    number, before, now, _ = step
    middle, more = (before + now) // 2, np.int64(0)
    for each in range(came.size):
        for k in range(start[number, each], start[number, each + 1]):
            if entry_of[memcg[k]] != NONE:
                noted[more] = memcg[k]
                more += 1
                continue
            end = middle + ticks[k]
            if end >= now:
                came[each] += 1
                if end < CALENDAR_TICKS:
                    leaves[each, end] += 1
    return more


@part
def _leave(step, more, followed, rules, charged, books):  # type: ignore[no-untyped-def]
    """All others of a step go offline, `more` that were noted among them; returns how many are pinned.

    First those that are followed, then those that are known by what they were charged for. One loop for both, as what
    is called in it is compiled wherever it is called.
    """
    others, noted, entries, unused = followed.others, charged.noted, charged.entries, charged.unused
    left, left_start, held_start = books.left, followed.left_start, followed.held_start
    number, before, now, _ = step
    first, end = followed.others_start[number], followed.others_start[number + 1]
    e, zombies = charged.due[number], np.int64(0)
    while first < end or more or e != NONE:
        m, size = np.int64(NONE), np.int64(0)
        if first < end:
            m = np.int64(others[first])
            first += 1
        elif more:
            more -= 1
            m = np.int64(noted[more])
        if m != NONE:
            its, key, life_s = np.int64(charged.of[m]), np.int64(followed.key[m]), followed.life_s[m]
            for k in range(left_start[m], left_start[m + 1]):
                left[size].kind = followed.left_kind[k]
                left[size].end = (before + now) // 2 + followed.left_ticks[k]
                left[size].spot = followed.left_spot[k]
                size += 1
        else:
            its, key = e, entries[e].key
            life_s, e = life_of(key, rules), entries[e].next_due
        if its != NONE:
            size, unused[FREE] = take_entries(entries, its, left, size, unused[FREE])
        until = go_offline(left, size, key, life_s, now, rules, books.counted, books.leaves)
        if m != NONE and held_start[m] < held_start[m + 1] and _is_held(m, number, until, followed, rules, books):
            until = np.int64(NEVER)
        zombies += die(until, now, life_s > rules.cache_creation_s, books.counted, books.leaves)
    return zombies


@part
def _is_held(m, number, until, followed, rules, books):  # type: ignore[no-untyped-def]
    """Whether something holds memcg `m`, which goes offline, for a time of its own; if so, note until when."""
    holds = keeps_id = np.int64(number)
    for k in range(followed.held_start[m], followed.held_start[m + 1]):
        kind = followed.held_kind[k]
        if rules.pins[kind]:
            holds = max(holds, np.int64(followed.held_step[k]))
            if kind == SWAP:
                keeps_id = max(keeps_id, np.int64(followed.held_step[k]))
    if keeps_id > number:
        books.counted[IDS] += 1
        books.ids_freed[keeps_id] += 1
    if holds > number:
        books.pinned_until[m] = until
        books.release_next[m] = books.release[holds]
        books.release[holds] = m
    return holds > number


@part
def _let_go(number, now, followed, rules, books):  # type: ignore[no-untyped-def]
    """The last of what held memcgs for a time of its own lets go: from here on they are pinned by the rest."""
    books.counted[IDS] -= books.ids_freed[number]
    m = books.release[number]
    while m != NONE:
        has_caches = followed.life_s[m] > rules.cache_creation_s
        books.counted[DYING] -= 1
        books.counted[DYING_WITH_CACHES] -= has_caches
        die(books.pinned_until[m], now, has_caches, books.counted, books.leaves)
        m = books.release_next[m]


@part
def _reclaim(step, missing, objects, common, books, singles):  # type: ignore[no-untyped-def]
    """Turn the reclaim clock: what is due ceases, and evicted common objects are missing; returns how many now are."""
    before, now, count, effects = step.before, step.now, books.counted, singles.effects
    for i in range(count.size):
        for tick in range(before, now):
            count[i] -= books.leaves[i, tick]
    for each in range(singles.came.size):
        cease = np.int64(0)
        for tick in range(before, now):
            cease += singles.leaves[each, tick]
        if cease:
            for i in range(count.size):
                count[i] -= cease * effects[each, i]
    for tick in range(before, now):
        j = common.evicts[tick]
        while j != NONE:
            miss(j, tick, before, now, step.born, objects, common)
            common.missing[missing] = j
            missing += 1
            j = common.evicts_next[j]
    return missing


@part
def _allocate(step, step_s, missing, followed, objects, rules, common, charged):  # type: ignore[no-untyped-def]
    """Give the missing objects to the memcgs born in this step that need them; returns how many are missing still.

    An object that is evicted again before the step is over may find its next memcg in the same step.
    """
    still_missing, entries, unused = 0, charged.entries, charged.unused
    number, before, now, born = step
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
        if unused[FREE] != NONE:
            e, unused[FREE] = unused[FREE], entries[unused[FREE]].sibling
        else:
            e = unused[FRESH]
            unused[FRESH] += 1
        entries[e].kind = objects.kind[j]
        entries[e].end = end
        entries[e].spot = random_bits(objects.seed, j, turn, PLACE) >> np.uint64(32)
        entries[e].sibling = NONE
        m = _followed_at(number, rank, followed)
        if m != NONE:
            entries[e].sibling = charged.of[m]
            charged.of[m] = e
        elif charged.by_rank_step[rank] == number:
            first = charged.by_rank[rank]
            entries[e].sibling = entries[first].sibling
            entries[first].sibling = e
        else:
            charged.by_rank_step[rank] = number
            charged.by_rank[rank] = e
            its_key = np.int64(random_bits(objects.seed, j, turn, MEMCG) >> np.uint64(32))
            off = int(min(number + (rank + 0.5) / born + life_of(its_key, rules) / step_s, float(STEPS)))
            entries[e].key = its_key
            entries[e].next_due = charged.due[off]
            charged.due[off] = e
    return still_missing


@part
def _followed_at(number, rank, followed):  # type: ignore[no-untyped-def]
    """The followed memcg of a rank among those born in a step; NONE."""
    rank_of, at, end = followed.rank, followed.birth_start[number], followed.birth_start[number + 1]
    high = end
    while at < high:
        middle = (at + high) // 2
        if rank_of[middle] < rank:
            at = middle + 1
        else:
            high = middle
    return followed.birth_order[at] if at < end and rank_of[at] == rank else NONE
