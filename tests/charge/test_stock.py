"""The stock of pages by itself, worked by hand: what no design asks of it today, and what random events seldom do."""

import numpy as np
from numba import njit

from core.charge import stock
from core.charge.stock import LANES, columns_of, run_stock
from core.events import ALLOC, FREE, OFFLINE, ONLINE, ROOT
from core.slabs.heap import PAGE_EVENT

A, B = 1, 2
victim = njit(stock.victim)


def tally(slots, batch, *events):
    """What one CPU's stock of so many slots did; an event is (kind, memcg, pages), or with a 1 at its end for a memcg
    that is offline."""
    records = np.zeros(len(events), PAGE_EVENT)
    for record, (kind, memcg, pages, *dead) in zip(records, events, strict=True):
        record["kind"], record["memcg"], record["pages"], record["dead"] = kind, memcg, pages, bool(dead)
    return run_stock(columns_of(records), np.array([batch]), cpus=1, slots=slots)


def test_uncharge_by_a_dead_memcg_that_overflows_its_stock():
    """Five pages into a stock of four: one drain, of a memcg that is dead, which gives its slot up."""
    for slots in (1, 3):
        found = tally(slots, 4, (OFFLINE, A, 0), (FREE, A, 2, 1), (FREE, A, 3, 1))

        assert (found.taken, found.drains, found.dead_drains, found.dead_puts) == (1, 1, 1, 1)
        assert (found.parent_drains, found.left, found.stocked_pages, found.balance) == (0, 0, 0, -5)


def test_uncharge_of_the_parent_that_overflows_its_stock():
    """The same by the parent of all."""
    for slots in (1, 3):
        found = tally(slots, 4, (FREE, ROOT, 2), (FREE, ROOT, 3))

        assert (found.drains, found.parent_drains, found.dead_drains, found.dead_puts) == (1, 1, 0, 0)


def test_counts_are_wider_than_what_they_are_added_up_in():
    """Two dead memcgs in turn, one of which overflows the stock: two drains every other event, 40,000 times."""
    found = tally(1, 4, *[(FREE, A, 3, 1), (FREE, B, 5, 1)] * 40_000)

    assert (found.taken, found.drains, found.dead_drains, found.dead_puts) == (80_000, 80_000, 80_000, 80_000)
    assert (found.parent_drains, found.balance) == (0, -320_000)


def test_uncharge_of_more_than_the_batch_by_a_dead_memcg():
    """One slot takes it and is drained; several are passed by, so nobody takes or gives a slot."""
    for slots, slots_taken in ((1, 1), (3, 0)):
        found = tally(slots, 4, (OFFLINE, A, 0), (FREE, A, 5, 1))

        assert (found.taken, found.dead_puts) == (slots_taken, slots_taken)
        assert (found.drains, found.dead_drains, found.balance) == (1, 1, -5)


def test_offline_flushes_all_slots_but_counts_only_those_with_pages():
    """A goes with pages in its slot: the parent's slot and that of a dead B, both empty, are given up, undrained."""
    found = tally(
        3,
        4,
        (ALLOC, A, 1),  # takes 4, leaves 3
        (ALLOC, B, 1),
        (ALLOC, B, 3),
        (FREE, ROOT, 2),
        (ALLOC, ROOT, 2),
        (OFFLINE, B, 0),
        (OFFLINE, A, 0),
    )

    assert (found.hits, found.taken, found.left, found.holding) == (2, 3, 0, 0)
    assert (found.drains, found.offline_drains, found.dead_drains, found.parent_drains) == (1, 1, 1, 0)
    assert (found.dead_puts, found.balance) == (2, 4 + 4 - 3)


def test_offline_drains_whoever_else_has_pages_there():
    """A goes with pages in its slot, and the parent has some in the next one: both are drained."""
    found = tally(3, 4, (ALLOC, A, 1), (FREE, ROOT, 2), (OFFLINE, A, 0))

    assert (found.drains, found.offline_drains, found.parent_drains, found.dead_drains) == (2, 2, 1, 1)


def test_offline_of_a_memcg_with_no_pages_flushes_nobody():
    """B's slot is empty when B goes: the stock stays as it is."""
    found = tally(3, 4, (ALLOC, A, 1), (ALLOC, B, 1), (ALLOC, B, 3), (OFFLINE, B, 0))

    assert (found.drains, found.left, found.holding, found.stocked_pages) == (0, 2, 1, 3)


def test_dead_memcg_that_is_taken_over_lives_again_in_the_stock():
    """A's empty slot survives its offline; when a new cgroup becomes A, it is A's again and is refilled untaken."""
    for slots in (1, 3):
        found = tally(slots, 4, (ALLOC, A, 1), (ALLOC, A, 3), (OFFLINE, A, 0), (ONLINE, A, 0), (ALLOC, A, 1))

        assert (found.hits, found.taken, found.dead_puts, found.stocked_pages) == (1, 1, 0, 3)


def test_more_batches_than_one_pass_has_lanes():
    """Lanes beyond the first pass are those of a pass of their own."""
    events = np.zeros(200, PAGE_EVENT)
    events["kind"], events["memcg"], events["pages"] = ALLOC, np.arange(200) // 7 % 3 + 1, 1
    batches = np.arange(1, 2 * LANES + 6)

    together = run_stock(columns_of(events), batches, cpus=1, slots=1)

    for lane in (0, LANES - 1, LANES, 2 * LANES, 2 * LANES + 4):
        alone = run_stock(columns_of(events), batches[lane : lane + 1], cpus=1, slots=1)
        assert all(vars(together)[name][lane] == value[0] for name, value in vars(alone).items())
    assert np.unique(together.stocked_pages).size > LANES


def test_uncharge_of_more_than_the_batch_by_the_parent_or_a_memcg():
    """Five pages pass a stock of three slots and four pages by: a drain of the parent's pages, or of A's."""
    assert tally(3, 4, (FREE, ROOT, 5)).parent_drains == 1
    assert tally(3, 4, (FREE, A, 5)).parent_drains == 0


def test_victim_without_pages_is_given_up_undrained():
    """Both slots are taken and empty, by the parent and by a dead A, when B comes: whoever goes, nothing is drained."""
    events = [(FREE, ROOT, 2), (ALLOC, ROOT, 2), (ALLOC, A, 1), (ALLOC, A, 3), (OFFLINE, A, 0)]
    for slot, dead_puts in ((0, 0), (1, 1)):
        while victim(len(events), 2) != slot:
            events.append((ONLINE, 9, 0))  # says nothing to the stock, and moves the draw on

        found = tally(2, 4, *events, (ALLOC, B, 1))

        assert (found.drains, found.parent_drains, found.dead_drains) == (0, 0, 0)
        assert (found.taken, found.dead_puts, found.stocked_pages) == (3, dead_puts, 3)


def test_victim_with_a_single_page_is_drained():
    """The parent and a dead A have a page each when B comes: who goes is drained, and said to be who it was."""
    events = [(OFFLINE, A, 0), (FREE, ROOT, 1), (FREE, A, 1, 1)]
    for slot, (parent_drains, dead_drains) in ((0, (1, 0)), (1, (0, 1))):
        while victim(len(events), 2) != slot:
            events.append((ONLINE, 9, 0))

        found = tally(2, 4, *events, (ALLOC, B, 1))

        assert (found.drains, found.parent_drains, found.dead_drains) == (1, parent_drains, dead_drains)
