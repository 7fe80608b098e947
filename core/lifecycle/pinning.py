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
from core.lifecycle.leftovers import (
    DYING,
    DYING_WITH_CACHES,
    ENTRY,
    IDS,
    LEFT,
    ROOT_OBJECTS,
    Rules,
    counts_of,
    die,
    go_offline,
    keep,
    life_of,
    state,
    take_entries,
)
from core.lifecycle.population import NEVER, NOT_SINGLE, SPOTS, STEPS, Population
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

FRESH, FREE = int64s(0, 1)  # fields of Charged.unused
ZOMBIES, FULL_STEP = int64s(0, 1)  # fields of Books.seen
(SWAP,) = int64s(PIN_KINDS.index("swap"))
SAMPLES = 64  # of the counts over a scenario, evenly spaced, the last one at its end


class Step(NamedTuple):
    """A step of a scenario: its number, the ticks of the reclaim clock before and after it, the memcgs born in it."""

    number: int
    before: int
    now: int
    born: int


class Charged(NamedTuple):
    """Which memcgs are online and charged for common objects: lists of entries."""

    entries: NDArray[np.void]  # [capacity] ENTRY
    unused: NDArray[np.int64]  # [2] FRESH: entries from here on were never used; FREE: first of those given back; NONE
    of: NDArray[np.int64]  # [memcgs] first entry of a followed memcg; NONE
    due: NDArray[np.int64]  # [STEPS + 1] first entry of the first other memcg that goes offline in a step; NONE
    by_rank: NDArray[np.int64]  # [arrivals] first entry of the step's other memcgs
    by_rank_step: NDArray[np.int64]  # [arrivals] step for which by_rank holds


class Books(NamedTuple):
    """What is counted."""

    counted: NDArray[np.int64]  # [counts] now
    leaves: NDArray[np.int32]  # [CALENDAR_TICKS, counts] how many cease at a tick
    sums: NDArray[np.int64]  # [counts] over all steps
    samples: NDArray[np.int64]  # [SAMPLES, counts]
    left: NDArray[np.void]  # [objects] LEFT, of the memcg that goes offline
    seen: NDArray[np.int64]  # [2] ZOMBIES: memcgs that dying found pinned; FULL_STEP: the first without a byte to spare
    # of memcgs that something holds for a time of its own:
    pinned_until: NDArray[np.int64]  # [memcgs] tick until which the rest pins it
    release: NDArray[np.int64]  # [STEPS + 1] first memcg whose last pin lets go in a step; NONE
    release_next: NDArray[np.int64]  # [memcgs]
    ids_freed: NDArray[np.int64]  # [STEPS + 1] how many ids are free again in a step


class Singles(NamedTuple):
    """Memcgs that leave one thing, to reclaim, and are not charged for a common object: nearly all, where many leave.

    Whatever such a memcg counts for ceases at one tick, so they are counted by what they are (`single_of`), and a
    calendar of these is all that there is to keep.
    """

    effects: NDArray[np.int64]  # [singles, counts] what one of each counts for
    zombies: NDArray[np.int64]  # [singles] whether it is pinned at all
    came: NDArray[np.int64]  # [singles] in a step
    leaves: NDArray[np.int32]  # [CALENDAR_TICKS, singles] how many cease at a tick


class Walked(NamedTuple):
    """What a walk through a scenario saw."""

    samples: NDArray[np.int64]  # [SAMPLES, counts]
    sums: NDArray[np.int64]  # [counts] over all steps
    clock: float  # of reclaim, at the end, in ticks
    zombie_share: float  # of memcgs gone: still there at the end of the step in which they went offline
    full_step: int  # the first in which nothing is left for the page cache; STEPS: none


def pin(population: Population, rules: Rules) -> Walked:
    """Walk a design through a scenario.

    The working memory is NumPy's, whose zero pages cost nothing until they are touched.
    """
    objects, memcgs = population.objects.kind.size, population.followed.key.size
    counts, most_born = counts_of(rules.kinds), int(population.arrivals.max())
    held = memcgs if population.followed.held_kind.size else 0
    capacity, clock = max(objects, 16), -1.0
    while clock < 0:
        common = new_common(objects)
        charged = Charged(
            entries=np.empty(capacity, ENTRY),
            unused=np.array([0, NONE]),
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
            left=np.empty(objects + int(np.diff(population.followed.left_start).max(initial=1)), LEFT),
            seen=np.array([0, STEPS]),
            pinned_until=np.empty(held, np.int64),
            release=np.full(STEPS + 1, NONE, np.int64),
            release_next=np.empty(held, np.int64),
            ids_freed=np.zeros(STEPS + 1, np.int64),
        )
        kinds_of_single = 4 * rules.kinds
        singles = Singles(
            effects=np.zeros((kinds_of_single, counts), np.int64),
            zombies=np.zeros(kinds_of_single, np.int64),
            came=np.zeros(kinds_of_single, np.int64),
            leaves=np.zeros((CALENDAR_TICKS, kinds_of_single), np.int32),
        )
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
    # Arrays by themselves: Numba counts references, atomically, whenever one is taken out of a tuple.
    count, leaves, left = books.counted, books.leaves, books.left
    entries, entry_of, unused = charged.entries, charged.of, charged.unused
    left_start, left_kind, left_ticks, left_spot = (
        followed.left_start, followed.left_kind, followed.left_ticks, followed.left_spot
    )  # fmt: skip
    life_s, key, held_start = followed.life_s, followed.key, followed.held_start
    single, came, single_leaves = followed.single, singles.came, singles.leaves
    _weigh_singles(rules, books, singles)
    missing, zombies, clock = np.int64(0), np.int64(0), 0.0
    for j in range(objects.kind.size):  # at the start all are cached, and charged to the root
        end, kind = age_ticks(objects, j, np.int64(0)), np.int64(objects.kind[j])
        cache_until(end, j, common)
        if kind != rules.page_kind:
            keep(count, leaves, state(ROOT_OBJECTS, kind, rules.kinds), end)

    for number in range(STEPS):
        before = int(clock)
        clock = turn_clock(clock, use(rules, count, number, books.seen), rules.page_cache_bytes)
        now = int(clock)
        step = Step(number, before, now, arrivals[number])

        missing = _reclaim(step, missing, objects, common, books, singles)
        if unused[FRESH] + missing > entries.size:
            return -1.0
        missing = _allocate(step, step_s, missing, followed, objects, rules, common, charged)
        for m in range(followed.off_start[number], followed.off_start[number + 1]):
            if single[m] != NOT_SINGLE and entry_of[m] == NONE:
                end = (before + now) // 2 + left_ticks[left_start[m]]
                if end >= now:
                    came[single[m]] += 1
                    if end < CALENDAR_TICKS:
                        single_leaves[end, single[m]] += 1
                continue
            size = np.int64(0)
            for k in range(left_start[m], left_start[m + 1]):
                left[size].kind = left_kind[k]
                left[size].end = (before + now) // 2 + left_ticks[k]
                left[size].spot = left_spot[k]
                size += 1
            if entry_of[m] != NONE:
                size, unused[FREE] = take_entries(entries, entry_of[m], left, size, unused[FREE])
            has_caches = life_s[m] > rules.cache_creation_s
            until = go_offline(left, size, np.int64(key[m]), life_s[m], now, rules, count, leaves)
            if held_start[m] < held_start[m + 1] and _is_held(m, number, until, followed, rules, books):
                until = np.int64(NEVER)
            zombies += die(until, now, has_caches, count, leaves)
        zombies += _count_singles(books, singles)
        _let_go(number, now, followed, rules, books)
        e = charged.due[number]
        while e != NONE:
            following, its_key = entries[e].next_due, entries[e].key
            its_life_s = life_of(its_key, rules)
            size, unused[FREE] = take_entries(entries, e, left, np.int64(0), unused[FREE])
            until = go_offline(left, size, its_key, its_life_s, now, rules, count, leaves)
            zombies += die(until, now, its_life_s > rules.cache_creation_s, count, leaves)
            e = following

        for i in range(count.size):
            books.sums[i] += count[i]
            if (number + 1) % (STEPS // SAMPLES) == 0:
                books.samples[(number + 1) // (STEPS // SAMPLES) - 1, i] = count[i]
    books.seen[ZOMBIES] = zombies
    return clock


@part
def _weigh_singles(rules, books, singles):  # type: ignore[no-untyped-def]
    """Let one of each single go offline, and note what it counts for."""
    count, left = books.counted, books.left
    for each in range(singles.zombies.size):
        early, has_caches = each // 2 % 2 == 1, each % 2 == 1
        left[0].kind = each // 4
        left[0].end = NEVER
        left[0].spot = 0 if early else np.int64(SPOTS)
        life_s = max(rules.cache_creation_s, 1.0)
        until = go_offline(left, np.int64(1), NONE, life_s, np.int64(0), rules, count, books.leaves)
        singles.zombies[each] = die(until, np.int64(0), has_caches, count, books.leaves)
        for i in range(count.size):
            singles.effects[each, i], count[i] = count[i], 0


@part
def _count_singles(books, singles):  # type: ignore[no-untyped-def]
    """Count the step's singles; returns how many are pinned."""
    zombies = np.int64(0)
    for each in range(singles.came.size):
        if singles.came[each]:
            for i in range(books.counted.size):
                books.counted[i] += singles.came[each] * singles.effects[each, i]
            zombies += singles.came[each] * singles.zombies[each]
            singles.came[each] = 0
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
    for tick in range(step.before, step.now):
        for i in range(books.counted.size):
            books.counted[i] -= books.leaves[tick, i]
        for each in range(singles.came.size):
            if singles.leaves[tick, each]:
                for i in range(books.counted.size):
                    books.counted[i] -= singles.leaves[tick, each] * singles.effects[each, i]
        j = common.evicts[tick]
        while j != NONE:
            miss(j, tick, step.before, step.now, step.born, objects, common)
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
    low, high = followed.birth_start[number], followed.birth_start[number + 1]
    at = low + np.searchsorted(followed.rank[low:high], rank)
    return followed.birth_order[at] if at < high and followed.rank[at] == rank else NONE
