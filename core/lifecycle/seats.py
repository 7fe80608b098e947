"""Seats: struct mem_cgroups that hold leftovers, dead or online, and how leftovers come and go on them."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from core.compiled import part
from core.lifecycle.reclaim import CALENDAR_TICKS, NONE, int64s

DEAD, TAKEN = int64s(0, 1)  # bounds within Seats.order


class Charges(NamedTuple):
    """What leftovers weigh against a memcg's limit."""

    slabs: NDArray[np.int64]  # [kinds] of an online memcg: generations of leftovers share them before they get more
    slab_bytes: NDArray[np.float64]  # [kinds]; page cache: of one file
    own_bytes: float  # of a memcg, besides leftovers
    limit_bytes: float
    mean_online: float  # memcgs, once comings and goings balance


class Seats(NamedTuple):
    """Memcgs that hold leftovers: first the dead ones, then those online, then seats that nobody needs."""

    objects: NDArray[np.int64]  # [seats, kinds] leftovers
    held: NDArray[np.int64]  # [seats] the same over all kinds
    emptied: NDArray[np.int64]  # [seats] how often: leftovers from before are gone
    order: NDArray[np.int64]  # [seats]
    place: NDArray[np.int64]  # [seats] in `order`
    bound: NDArray[np.int64]  # [2] in `order`: DEAD are the seats before the first, TAKEN those before the second


class Leftovers(NamedTuple):
    """Private leftovers, then common objects, by number."""

    kind: NDArray[np.int64]
    seat: NDArray[np.int64]  # NONE: charged to nobody
    emptied: NDArray[np.int64]  # of its seat, when it came
    ceases: NDArray[np.int64]  # [CALENDAR_TICKS] first private one that is reclaimed at a tick
    ceases_next: NDArray[np.int64]
    needed: NDArray[np.int64]  # [births] first common object that a new cgroup misses
    needed_next: NDArray[np.int64]  # [common objects]


def new_seats(items: int, kinds: int) -> Seats:
    """Return seats for so many leftovers, each on one of its own at worst; all are free."""
    return Seats(
        objects=np.zeros((items + 1, kinds), np.int64),
        held=np.zeros(items + 1, np.int64),
        emptied=np.zeros(items + 1, np.int64),
        order=np.arange(items + 1),
        place=np.arange(items + 1),
        bound=np.zeros(2, np.int64),
    )


def new_leftovers(private: NDArray[np.integer], common: NDArray[np.integer], births: int) -> Leftovers:
    """Return leftovers of the given kinds before any is there; `births`: at most, in a step."""
    return Leftovers(
        kind=np.concatenate([private, common]).astype(np.int64),
        seat=np.full(private.size + common.size, NONE, np.int64),
        emptied=np.zeros(private.size + common.size, np.int64),
        ceases=np.full(CALENDAR_TICKS, NONE, np.int64),
        ceases_next=np.empty(private.size, np.int64),
        needed=np.full(births + 1, NONE, np.int64),
        needed_next=np.empty(common.size, np.int64),
    )


@part
def take_dead(draw, seats):  # type: ignore[no-untyped-def]
    """A new cgroup takes over any dead memcg; returns its seat."""
    seat = seats.order[np.int64((1.0 - draw) * seats.bound[DEAD])]
    seats.bound[DEAD] -= 1
    _swap(seats.place[seat], seats.bound[DEAD], seats)
    return seat


@part
def bury(seat, seats):  # type: ignore[no-untyped-def]
    """A memcg goes offline: it is dead if it holds anything, else freed."""
    if seats.held[seat]:
        _swap(seats.place[seat], seats.bound[DEAD], seats)
        seats.bound[DEAD] += 1


@part
def hold(item, seat, rules, seats, leftovers):  # type: ignore[no-untyped-def]
    """Charge a leftover to a memcg that is online."""
    kind = leftovers.kind[item]
    leftovers.seat[item] = seat
    leftovers.emptied[item] = seats.emptied[seat]
    if kind == rules.page_kind and not rules.lru_pins_memcg:
        leftovers.emptied[item] = NONE  # reparented: holds nothing
        return
    seats.objects[seat, kind] += 1
    seats.held[seat] += 1
    if seats.held[seat] == 1:
        _swap(seats.place[seat], seats.bound[TAKEN], seats)
        seats.bound[TAKEN] += 1


@part
def cease(item, seats, leftovers):  # type: ignore[no-untyped-def]
    """Reclaim a leftover."""
    seat = leftovers.seat[item]
    leftovers.seat[item] = NONE
    if seat != NONE and leftovers.emptied[item] == seats.emptied[seat]:
        seats.objects[seat, leftovers.kind[item]] -= 1
        seats.held[seat] -= 1
        if seats.held[seat] == 0:
            empty(seat, seats)


@part
def empty(seat, seats):  # type: ignore[no-untyped-def]
    """A memcg holds nothing any more; if it is dead, it is freed."""
    seats.emptied[seat] += 1
    seats.held[seat] = 0
    seats.objects[seat] = 0
    if seats.place[seat] < seats.bound[DEAD]:
        seats.bound[DEAD] -= 1
        _swap(seats.place[seat], seats.bound[DEAD], seats)
    seats.bound[TAKEN] -= 1
    _swap(seats.place[seat], seats.bound[TAKEN], seats)


@part
def _swap(one, other, seats):  # type: ignore[no-untyped-def]
    first, second = seats.order[one], seats.order[other]
    seats.order[one], seats.order[other] = second, first
    seats.place[first], seats.place[second] = other, one


@part
def slabs_of_seat(number, kind, rules, charges):  # type: ignore[no-untyped-def]
    """Slabs under so many leftovers of one memcg: of many generations, on slabs that each refilled."""
    if kind == rules.page_kind:
        return number
    return min(number, max(charges.slabs[kind], -(-number // rules.slab_objects[kind])))
