"""The per-CPU stock of prepaid pages, for all batch sizes at once.

A stock is (memcg, pages). Every lane is one value of MEMCG_CHARGE_BATCH; all lanes see the same page events, and the
loop over lanes has no branch, so it compiles to vector instructions. Follows consume_stock(), refill_stock(),
drain_stock() and drain_all_stock() of mm/memcontrol.c, Linux 4.19 to 6.15 for one slot, 6.16 for several.

The exceptions that make lanes differ in more than the pages they hold: a request larger than the batch bypasses the
stock; a request of at least the batch charges without touching the slot; an uncharge that overflows empties it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from core.bits import GOLDEN, finalise
from core.compiled import entry, part
from core.events import ALLOC, FREE, OFFLINE, ONLINE, ROOT, SAMPLE, START

LANES = 32  # lanes of one pass, a constant so that the compiler unrolls the loop over them
DIRECT_FREE = 4  # a page event beside ALLOC, FREE, ONLINE, OFFLINE: an uncharge that goes to the counters at once
NOBODY = -2  # an empty slot. Memcg m is 2m in a slot while online and 2m + 1 after; the parent of all is ROOT
HITS, TAKEN, DRAINS, PARENT_DRAINS, DEAD_DRAINS, DEAD_PUTS, OFFLINE_DRAINS, HELD, BALANCE, SAMPLED = range(10)
# Two counts in one number, 16 bits each, for a while: a vector of lanes is loaded and stored once for both.
COUNTED_TOGETHER = ((HITS, TAKEN), (DRAINS, PARENT_DRAINS), (DEAD_DRAINS, DEAD_PUTS))
SUMS = SAMPLED + 1 + len(COUNTED_TOGETHER)
OF_SLOTS, OF_DRAINS, OF_DEAD = range(SAMPLED + 1, SUMS)  # rows of COUNTED_TOGETHER
TOGETHER_FOR = 8192  # events, each of which adds 2 to a count at the most
LOW, HIGH, BOTH, ZERO = (np.int32(value) for value in (1, 1 << 16, 1 | 1 << 16, 0))


class PageEvents(NamedTuple):
    """Page events, each column in one piece."""

    kinds: NDArray[np.int32]
    cpus: NDArray[np.int32]
    who: NDArray[np.int32]  # as a slot holds it
    pages: NDArray[np.int32]

    def where(self, which: NDArray[np.bool_] | slice) -> PageEvents:
        """Return some of them."""
        return PageEvents(*(column[which] for column in self))


def columns_of(events: NDArray[np.void]) -> PageEvents:
    """Return records of `core.slabs.heap.PAGE_EVENT` as columns."""
    who = 2 * events["memcg"] + events["dead"]
    columns = events["kind"], events["cpu"], who, events["pages"]
    return PageEvents(*(np.ascontiguousarray(column) for column in columns))


@dataclass(frozen=True)
class Tally:
    """What the stocks did, each `[lanes]`.

    hits: charges served by consume_stock(). taken: slots given to a memcg. held, left: slots held at START and at the
    end, holding: those with pages in them then. drains: drain_stock() with pages to give back, among them those of the
    parent's pages, those of a memcg after offline, and those by drain_all_stock() at offline. dead_puts: slots given up
    whose memcg is offline. All of it since START, if there is one. stocked_pages: held at the end, stocked_pages_mean:
    on average over SAMPLEs and the end. balance: pages charged to the counters, less those drained, since the first
    event.
    """

    hits: NDArray[np.int64]
    taken: NDArray[np.int64]
    held: NDArray[np.int64]
    left: NDArray[np.int64]
    holding: NDArray[np.int64]
    drains: NDArray[np.int64]
    parent_drains: NDArray[np.int64]
    dead_drains: NDArray[np.int64]
    offline_drains: NDArray[np.int64]
    dead_puts: NDArray[np.int64]
    stocked_pages: NDArray[np.int64]
    stocked_pages_mean: NDArray[np.float64]
    balance: NDArray[np.int64]


def run_stock(events: PageEvents, batches: NDArray[np.int64], *, cpus: int, slots: int, in_turn: bool = False) -> Tally:
    """Run page events through the stocks of all CPUs, once for each batch.

    batches: `[lanes]` pages; 0 models no stock. slots: memcgs that a stock caches; 1 up to Linux 6.15.
    in_turn: a full stock gives up its slots in turn; else one is drawn.
    FREE uncharges to the stock; DIRECT_FREE is not the stock's business.
    """
    stocks = [empty_stocks(cpus, slots) for _ in range(-(-len(batches) // LANES))]
    for lanes, (stock, sums) in zip(_full(batches), stocks, strict=True):
        if slots == 1:
            single_slot(*events, lanes, stock, sums)
        else:
            turn = np.zeros((cpus, LANES), np.int64)
            many_slots(*events, lanes, stock, sums, turn, slots, in_turn)
    held, counted = (np.concatenate(each, axis=-1)[..., : len(batches)] for each in zip(*stocks, strict=True))
    who, pages, of = held[:, :slots], held[:, slots:], counted.astype(np.int64)
    stocked_pages = pages.sum(axis=(0, 1), dtype=np.int64)
    return Tally(
        hits=of[HITS],
        taken=of[TAKEN],
        held=of[HELD],
        left=np.count_nonzero(who != NOBODY, axis=(0, 1)),
        holding=np.count_nonzero(pages > 0, axis=(0, 1)),
        drains=of[DRAINS],
        parent_drains=of[PARENT_DRAINS],
        dead_drains=of[DEAD_DRAINS],
        offline_drains=of[OFFLINE_DRAINS],
        dead_puts=of[DEAD_PUTS],
        stocked_pages=stocked_pages,
        stocked_pages_mean=_stocked_mean(events, of[SAMPLED], stocked_pages),
        balance=of[BALANCE],
    )


def _stocked_mean(events: PageEvents, counted: NDArray[np.int64], at_end: NDArray[np.int64]) -> NDArray[np.float64]:
    """Stocks hold what the counters do, `counted` when summed over SAMPLEs, less the pages in use."""
    signs = (events.kinds == ALLOC).astype(np.int8) - (events.kinds == FREE)
    sampled = np.flatnonzero(events.kinds == SAMPLE)
    in_use = np.cumsum(signs * events.pages)[sampled].sum()
    mean: NDArray[np.float64] = (counted - in_use + at_end) / (sampled.size + 1)
    return mean


def _full(batches: NDArray[np.integer]) -> Iterator[NDArray[np.int32]]:
    """Yield the batches in runs of LANES, the last filled up with lanes that nobody reads."""
    for i in range(0, len(batches), LANES):
        lanes = np.zeros(LANES, np.int32)
        lanes[: len(batches) - i] = batches[i : i + LANES]
        yield lanes


def empty_stocks(cpus: int, slots: int) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Return stocks of LANES batches, `[cpus, 2 * slots, LANES]` (who, then pages), and sums `[SUMS, LANES]`."""
    stock = np.zeros((cpus, 2 * slots, LANES), np.int32)
    stock[:, :slots] = NOBODY
    return stock, np.zeros((SUMS, LANES), np.int32)


@entry
def single_slot(kinds, cpu_of, who_of, pages_of, batches, stock, sums):  # type: ignore[no-untyped-def]
    """One pass over page events, of one batch per lane: fill `empty_stocks`."""
    # every term is cast to int32, for Numba widens sums to int64 and the compiler then gives up on vectors
    for first in range(0, kinds.size, TOGETHER_FOR):
        for i in range(first, min(first + TOGETHER_FOR, kinds.size)):
            kind, cpu, me, pages = kinds[i], cpu_of[i], np.int32(who_of[i]), np.int32(pages_of[i])
            if kind == ALLOC:
                for lane in range(LANES):
                    batch, who, held = batches[lane], stock[cpu, 0, lane], stock[cpu, 1, lane]
                    same = who == me
                    hit = same & (held >= pages) & (batch >= pages)
                    refill = (not hit) & (batch > pages)
                    evict = refill & (not same)
                    given_back = held if evict else ZERO
                    walked = ZERO if hit else (batch if refill else pages)
                    into_stock = walked if refill else ZERO
                    from_stock = pages if (hit | refill) else ZERO
                    taken, drained, dead_put = _evicted(evict, given_back, who)
                    sums[OF_SLOTS, lane] += np.int32((LOW if hit else ZERO) + taken)
                    sums[OF_DRAINS, lane] += drained
                    sums[OF_DEAD, lane] += dead_put
                    sums[BALANCE, lane] += walked - given_back
                    stock[cpu, 0, lane] = me if refill else who
                    stock[cpu, 1, lane] = held - given_back + into_stock - from_stock
            elif kind == FREE:
                full = BOTH if me == ROOT else LOW
                full_dead = BOTH if (me & 1) != 0 else ZERO
                for lane in range(LANES):
                    who, held = stock[cpu, 0, lane], stock[cpu, 1, lane]
                    evict = who != me
                    given_back = held if evict else ZERO
                    total = np.int32(held - given_back + pages)
                    over = total > batches[lane]
                    taken, drained, dead_put = _evicted(evict, given_back, who)
                    sums[OF_SLOTS, lane] += taken
                    sums[OF_DRAINS, lane] += np.int32(drained + (full if over else ZERO))
                    sums[OF_DEAD, lane] += np.int32(dead_put + (full_dead if over else ZERO))
                    sums[BALANCE, lane] -= given_back + (total if over else ZERO)
                    stock[cpu, 0, lane] = np.int32(NOBODY) if over else me
                    stock[cpu, 1, lane] = ZERO if over else total
            elif kind == START:
                _add_up(sums)
                _start(stock, sums, 1)
            elif kind == SAMPLE:
                for lane in range(LANES):
                    sums[SAMPLED, lane] += sums[BALANCE, lane]
            elif kind != DIRECT_FREE:
                _pass_away(stock, sums, kind, me, 1)
        _add_up(sums)


@part
def _evicted(evict, given_back, who):  # type: ignore[no-untyped-def]
    """What a slot's giving up `who` with so many pages adds to each of COUNTED_TOGETHER."""
    drained, dead = given_back > 0, (who & 1) != 0
    taken = HIGH if evict else ZERO
    return (
        taken,
        (BOTH if who == ROOT else LOW) if drained else ZERO,
        (BOTH if drained else taken) if dead else ZERO,
    )


@part
def _add_up(sums):  # type: ignore[no-untyped-def]
    for pair in range(len(COUNTED_TOGETHER)):
        low, high = COUNTED_TOGETHER[pair]
        for lane in range(LANES):
            both = sums[OF_SLOTS + pair, lane]
            sums[low, lane] += both & np.int32(0xFFFF)
            sums[high, lane] += both >> np.int32(16)
            sums[OF_SLOTS + pair, lane] = 0


@part
def _start(stock, sums, slots):  # type: ignore[no-untyped-def]
    sums[:BALANCE] = 0
    for cpu in range(stock.shape[0]):
        for slot in range(slots):
            for lane in range(LANES):
                sums[HELD, lane] += stock[cpu, slot, lane] != NOBODY


@part
def _pass_away(stock, sums, kind, me, slots):  # type: ignore[no-untyped-def]
    """A memcg goes offline: drain_all_stock(). Or it is taken over by a new cgroup: whoever is cached lives again."""
    for cpu in range(stock.shape[0]):
        mine = stock[cpu]
        for lane in range(LANES):
            flush = False
            for slot in range(slots):
                if kind == ONLINE and mine[slot, lane] == me | 1:
                    mine[slot, lane] = me
                elif kind == OFFLINE and mine[slot, lane] == me:
                    mine[slot, lane] = me | 1
                    flush |= mine[slots + slot, lane] > 0
            if flush:
                # one match and the whole stock of that CPU is drained: drain_local_stock()
                for slot in range(slots):
                    sums[OFFLINE_DRAINS, lane] += mine[slots + slot, lane] > 0
                    _drain_slot(mine, sums, slot, slots, lane)


@part
def _drain_slot(mine, sums, slot, slots, lane):  # type: ignore[no-untyped-def]
    """drain_stock(): pages go back to the counters, the slot's reference is dropped."""
    who, held = mine[slot, lane], mine[slots + slot, lane]
    sums[DRAINS, lane] += held > 0
    sums[PARENT_DRAINS, lane] += (held > 0) & (who == ROOT)
    sums[DEAD_DRAINS, lane] += (held > 0) & (who & 1)
    sums[DEAD_PUTS, lane] += who & 1
    sums[BALANCE, lane] -= held
    mine[slot, lane] = NOBODY
    mine[slots + slot, lane] = 0


@part
def victim(event, slots):  # type: ignore[no-untyped-def]
    """Slot to drain, from the index of the event."""
    return np.int64((finalise(np.uint64(event + 1) * GOLDEN) >> np.uint64(33)) % np.uint64(slots))


@entry
def many_slots(kinds, cpu_of, who_of, pages_of, batches, stock, sums, turn, slots, in_turn):  # type: ignore[no-untyped-def]
    """The same for stocks of several slots; a full one gives up `turn` `[cpus, LANES]` if `in_turn`, else `victim`."""
    for i in range(kinds.size):
        kind, pages, me = kinds[i], pages_of[i], who_of[i]
        mine = stock[cpu_of[i]]
        if kind in (ALLOC, FREE):
            for lane in range(LANES):
                batch = batches[lane]
                mine_at, empty_at = -1, -1
                for slot in range(slots):
                    if mine[slot, lane] == me:
                        mine_at = slot
                        break
                    if mine[slot, lane] == NOBODY and empty_at == -1:
                        empty_at = slot
                put = pages
                if kind == ALLOC:
                    if mine_at != -1 and pages <= batch and mine[slots + mine_at, lane] >= pages:
                        mine[slots + mine_at, lane] -= pages
                        sums[HITS, lane] += 1
                        continue
                    sums[BALANCE, lane] += max(batch, pages)
                    put = batch - pages
                    if put <= 0:
                        continue
                elif pages > batch:  # since 6.16 such an uncharge does not go through the stock
                    sums[DRAINS, lane] += 1
                    sums[PARENT_DRAINS, lane] += me == ROOT
                    sums[DEAD_DRAINS, lane] += me & 1
                    sums[BALANCE, lane] -= pages
                    continue
                drop = mine_at
                if mine_at == -1:
                    slot, drop = empty_at, -1
                    if empty_at == -1:
                        slot = turn[cpu_of[i], lane] if in_turn else victim(i, slots)
                        turn[cpu_of[i], lane] = (slot + 1) % slots
                        drop = slot
                else:
                    mine[slots + mine_at, lane] += put
                    drop = mine_at if mine[slots + mine_at, lane] > batch else -1
                if drop != -1:
                    _drain_slot(mine, sums, drop, slots, lane)
                if mine_at == -1:
                    mine[slot, lane] = me
                    mine[slots + slot, lane] = put
                    sums[TAKEN, lane] += 1
        elif kind == START:
            _start(stock, sums, slots)
        elif kind == SAMPLE:
            for lane in range(LANES):
                sums[SAMPLED, lane] += sums[BALANCE, lane]
        elif kind != DIRECT_FREE:
            _pass_away(stock, sums, kind, me, slots)
