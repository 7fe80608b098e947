"""What a walk through a scenario keeps: who is charged for common objects, what is counted, and until when."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from core.compiled import part
from core.lifecycle.leftovers import ENTRY, LEFT, Rules, counts_of, die, go_offline
from core.lifecycle.population import NEVER, SPOTS, STEPS, Population
from core.lifecycle.reclaim import CALENDAR_TICKS, NONE, int64s

FRESH, FREE = int64s(0, 1)  # fields of Charged.unused
ZOMBIES, FULL_STEP = int64s(0, 1)  # fields of Books.seen
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
    of: NDArray[np.int32]  # [memcgs] first entry of a followed memcg; NONE
    noted: NDArray[np.int32]  # [capacity] of a step, memcgs that leave one thing and are charged for others
    due: NDArray[np.int64]  # [STEPS + 1] first entry of the first other memcg that goes offline in a step; NONE
    by_rank: NDArray[np.int64]  # [arrivals] first entry of the step's other memcgs
    by_rank_step: NDArray[np.int64]  # [arrivals] step for which by_rank holds


class Books(NamedTuple):
    """What is counted."""

    counted: NDArray[np.int64]  # [counts] now
    leaves: NDArray[np.int32]  # [counts, CALENDAR_TICKS] how many cease at a tick
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
    leaves: NDArray[np.int32]  # [singles, CALENDAR_TICKS] how many cease at a tick


def new_books(population: Population, rules: Rules, capacity: int) -> tuple[Charged, Books, Singles]:
    """Return books for a walk, with room for so many entries.

    They are NumPy's, whose zero pages cost nothing until they are touched.
    """
    memcgs, most_born = population.followed.key.size, int(population.arrivals.max())
    held = memcgs if population.followed.held_kind.size else 0
    counts, singles = counts_of(rules.kinds), 4 * rules.kinds
    most_left = population.objects.kind.size + int(np.diff(population.followed.left_start).max(initial=1))
    return (
        Charged(
            entries=np.empty(capacity, ENTRY),
            unused=np.array([0, NONE]),
            of=np.full(memcgs, NONE, np.int32),
            noted=np.empty(capacity, np.int32),
            due=np.full(STEPS + 1, NONE, np.int64),
            by_rank=np.empty(most_born, np.int64),
            by_rank_step=np.full(most_born, NONE, np.int64),
        ),
        Books(
            counted=np.zeros(counts, np.int64),
            leaves=np.zeros((counts, CALENDAR_TICKS), np.int32),
            sums=np.zeros(counts, np.int64),
            samples=np.zeros((SAMPLES, counts), np.int64),
            left=np.empty(most_left, LEFT),
            seen=np.array([0, STEPS]),
            pinned_until=np.empty(held, np.int64),
            release=np.full(STEPS + 1, NONE, np.int64),
            release_next=np.empty(held, np.int64),
            ids_freed=np.zeros(STEPS + 1, np.int64),
        ),
        Singles(
            effects=np.zeros((singles, counts), np.int64),
            zombies=np.zeros(singles, np.int64),
            came=np.zeros(singles, np.int64),
            leaves=np.zeros((singles, CALENDAR_TICKS), np.int32),
        ),
    )


@part
def weigh_singles(rules, books, singles):  # type: ignore[no-untyped-def]
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
def count_singles(books, singles):  # type: ignore[no-untyped-def]
    """Count the step's singles; returns how many are pinned."""
    zombies = np.int64(0)
    for each in range(singles.came.size):
        if singles.came[each]:
            for i in range(books.counted.size):
                books.counted[i] += singles.came[each] * singles.effects[each, i]
            zombies += singles.came[each] * singles.zombies[each]
            singles.came[each] = 0
    return zombies
