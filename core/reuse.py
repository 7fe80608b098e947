"""Reuse of dead memcgs: a new cgroup takes over a dead one, with whatever that one left behind.

A dead memcg is taken as soon as a cgroup is made, so what leftovers gather on is not memcgs but *seats*: struct
mem_cgroups that hold leftovers, some online, the others dead. While there are more seats than memcgs online, everybody
sits on one and the rest are dead; else every seat is taken and none is dead. So `dead = max(seats - online, 0)`, and a
new cgroup inherits with chance `min(1, seats / online)`, from any seat: the thread leaves open which. That is exact
while leftovers change slowly against lifetimes, and bounds seats by the peak of `online`, whatever the churn. Reclaim
works as in `core.pinning`; stacks of stray tasks and objects older than a memcg's kmem_caches are left out.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from core.commons import (
    CALENDAR_TICKS,
    FORCE,
    MEMCG,
    NONE,
    PICK,
    SEAT,
    age_ticks,
    cache_until,
    miss,
    new_common,
    turn_clock,
    uniform,
)
from core.pinning import DYING, DYING_WITH_CACHES, OWN_OBJECTS, SAMPLES, SHARED_OBJECTS, SLABS, Rules
from core.population import STEPS, Population


class Charges(NamedTuple):
    """What leftovers weigh against a memcg's limit."""

    slabs: NDArray[np.int64]  # [kinds] of an online memcg: generations of leftovers share them before they get more
    slab_bytes: NDArray[np.float64]  # [kinds]; page cache: of one file
    own_bytes: float  # of a memcg, besides leftovers
    limit_bytes: float


class Fairness(NamedTuple):
    """What new cgroups inherit, over a scenario."""

    inherited_bytes: float  # mean per new cgroup
    over_half: float  # share of new cgroups that start over half their limit
    forced_reclaims: float  # per new cgroup: it cannot run before what it inherited is reclaimed
    forced_bytes: float  # reclaimed so, in all


class Seats(NamedTuple):
    """Memcgs that hold leftovers. A seat that holds none is free; `order` lists the others first."""

    objects: NDArray[np.int64]  # [seats, kinds] leftovers
    held: NDArray[np.int64]  # [seats] the same over all kinds
    emptied: NDArray[np.int64]  # [seats] how often: leftovers from before are gone
    order: NDArray[np.int64]  # [seats]
    place: NDArray[np.int64]  # [seats] in `order`


class Leftovers(NamedTuple):
    """Private leftovers, then common objects, by number."""

    kind: NDArray[np.int64]
    seat: NDArray[np.int64]  # NONE: charged to nobody
    emptied: NDArray[np.int64]  # of its seat, when it came
    ceases: NDArray[np.int64]  # [CALENDAR_TICKS] first private one that is reclaimed at a tick
    ceases_next: NDArray[np.int64]


def take_over(
    population: Population, rules: Rules, charges: Charges
) -> tuple[NDArray[np.int64], NDArray[np.int64], float, Fairness]:
    """Walk through a scenario; returns counts, sums and clock as `core.pinning.pin` does, and the fairness."""
    private, kinds = population.followed.left_kind.size, rules.kinds
    items, most = private + population.objects.kind.size, int(population.online.max()) + 2
    sums, samples = np.zeros(3 + 4 * kinds, np.int64), np.zeros((SAMPLES, 3 + 4 * kinds), np.int64)
    seats = Seats(
        objects=np.zeros((most, kinds), np.int64),
        held=np.zeros(most, np.int64),
        emptied=np.zeros(most, np.int64),
        order=np.arange(most),
        place=np.arange(most),
    )
    leftovers = Leftovers(
        kind=np.concatenate([population.followed.left_kind, population.objects.kind]).astype(np.int64),
        seat=np.full(items, NONE, np.int64),
        emptied=np.zeros(items, np.int64),
        ceases=np.full(CALENDAR_TICKS, NONE, np.int64),
        ceases_next=np.empty(private, np.int64),
    )
    rank_seat = np.full((2, int(population.arrivals.max()) + 1), NONE, np.int64)
    fair = np.zeros(4)
    clock = _walk(
        population.arrivals, population.online, population.followed, population.objects, rules, charges,
        new_common(population.objects.kind.size), seats, leftovers, rank_seat, sums, samples, fair,
    )  # fmt: skip
    born = max(int(population.arrivals.sum()), 1)
    return samples, sums, clock, Fairness(fair[0] / born, fair[1] / born, fair[2] / born, fair[3])


@njit(cache=True)
def _walk(  # type: ignore[no-untyped-def]
    arrivals, online, followed, objects, rules, charges, common, seats, leftovers, rank_seat, sums, samples, fair
):
    """Fill `sums`, `samples` and `fair`; returns the clock at the end."""
    kinds, private = rules.kinds, followed.left_kind.size
    root_objects = np.zeros(kinds, np.int64)  # common objects charged to nobody
    count = np.zeros(sums.size, np.int64)
    taken, missing, clock = np.int64(0), np.int64(0), 0.0
    for j in range(objects.kind.size):
        cache_until(age_ticks(objects, j, np.int64(0)), j, common)
        root_objects[objects.kind[j]] += 1

    for step in range(STEPS):
        used = rules.live_bytes[step]
        for i in range(count.size):
            used += count[i] * rules.bytes_each[i]
        before = int(clock)
        clock = turn_clock(clock, used, rules.page_cache_bytes)
        now, born, here = int(clock), arrivals[step], max(online[step], 1)

        for tick in range(before, now):
            i = leftovers.ceases[tick]
            while i != NONE:
                taken = _cease(i, taken, seats, leftovers)
                i = leftovers.ceases_next[i]
            j = common.evicts[tick]
            while j != NONE:
                if leftovers.seat[private + j] == NONE:
                    root_objects[objects.kind[j]] -= 1
                taken = _cease(private + j, taken, seats, leftovers)
                miss(j, tick, before, now, born, objects, common)
                common.missing[missing] = j
                missing += 1
                j = common.evicts_next[j]

        still_missing = np.int64(0)
        for i in range(missing):
            j = common.missing[i]
            rank = common.wait[j]
            if rank >= born:
                common.wait[j] -= born
                common.missing[still_missing] = j
                still_missing += 1
                continue
            if rank_seat[1, rank] != step:
                rank_seat[0, rank] = _find_seat(_draw(objects, j, step, SEAT), here, taken, seats)
                rank_seat[1, rank] = step
            taken = _hold(private + j, rank_seat[0, rank], taken, seats, leftovers, rules)
            end = before + rank * (now - before) // born + age_ticks(objects, j, common.turn[j])
            cache_until(max(end, now), j, common)  # not evicted again within the step
        missing = still_missing

        for m in range(followed.off_start[step], followed.off_start[step + 1]):
            seat = _find_seat(_draw(objects, m, step, PICK), here, taken, seats)
            for k in range(followed.left_start[m], followed.left_start[m + 1]):
                end = (before + now) // 2 + followed.left_ticks[k]
                if end >= now and end < CALENDAR_TICKS:
                    leftovers.ceases_next[k] = leftovers.ceases[end]
                    leftovers.ceases[end] = k
                if end >= now:
                    taken = _hold(k, seat, taken, seats, leftovers, rules)

        heirs = born * min(1.0, taken / here)
        chance = 1.0 - np.exp(-heirs / max(taken, 1))  # that one given seat is taken over in this step
        last = taken - 1
        while last >= 0:
            seat = seats.order[last]
            legacy = 0.0
            for kind in range(kinds):
                legacy += _slabs(seats.objects[seat, kind], kind, rules, charges) * charges.slab_bytes[kind]
            fair[0] += legacy * heirs / taken
            fair[1] += (legacy > charges.limit_bytes / 2) * heirs / taken
            if legacy + charges.own_bytes > charges.limit_bytes and _draw(objects, seat, step, FORCE) < chance:
                fair[2] += 1.0
                fair[3] += legacy
                taken = _empty(seat, taken, seats)
            last -= 1

        for i in range(count.size):
            count[i] = 0
        dead = max(taken - online[step], 0)
        count[DYING] = count[DYING_WITH_CACHES] = dead
        for place in range(taken):
            seat = seats.order[place]
            for kind in range(kinds):
                number = seats.objects[seat, kind]
                if kind == rules.page_kind:
                    continue
                if place < dead:
                    count[3 + SLABS * kinds + kind] += _slabs(number, kind, rules, charges)
                    count[3 + OWN_OBJECTS * kinds + kind] += number
                else:  # on slabs that the memcg online refills
                    count[3 + SHARED_OBJECTS * kinds + kind] += number
        for kind in range(kinds):
            if kind != rules.page_kind:
                count[3 + SHARED_OBJECTS * kinds + kind] += root_objects[kind]
        for i in range(count.size):
            sums[i] += count[i]
            if (step + 1) % (STEPS // SAMPLES) == 0:
                samples[(step + 1) // (STEPS // SAMPLES) - 1, i] = count[i]
    return clock


@njit(cache=True)
def _draw(objects, which, step, use):  # type: ignore[no-untyped-def]
    return uniform(objects.seed, which, step + (MEMCG << 32), use)


@njit(cache=True)
def _find_seat(draw, here, taken, seats):  # type: ignore[no-untyped-def]
    """Seat of a memcg: any of those taken with chance `taken / here`, else a free one."""
    place = min(np.int64((1.0 - draw) * max(taken, here)), taken)
    return seats.order[place]


@njit(cache=True)
def _hold(item, seat, taken, seats, leftovers, rules):  # type: ignore[no-untyped-def]
    """Charge a leftover to a seat; returns how many seats are taken."""
    kind = leftovers.kind[item]
    leftovers.seat[item] = seat
    leftovers.emptied[item] = seats.emptied[seat]
    if kind == rules.page_kind and not rules.lru_pins_memcg:
        leftovers.emptied[item] = NONE  # reparented: holds nothing
        return taken
    seats.objects[seat, kind] += 1
    seats.held[seat] += 1
    if seats.held[seat] == 1:
        _swap(seats.place[seat], taken, seats)
        taken += 1
    return taken


@njit(cache=True)
def _cease(item, taken, seats, leftovers):  # type: ignore[no-untyped-def]
    """Reclaim a leftover; returns how many seats are taken."""
    seat = leftovers.seat[item]
    leftovers.seat[item] = NONE
    if seat == NONE or leftovers.emptied[item] != seats.emptied[seat]:
        return taken
    seats.objects[seat, leftovers.kind[item]] -= 1
    seats.held[seat] -= 1
    return _empty(seat, taken, seats) if seats.held[seat] == 0 else taken


@njit(cache=True)
def _empty(seat, taken, seats):  # type: ignore[no-untyped-def]
    """A seat holds nothing any more; returns how many seats are taken."""
    seats.emptied[seat] += 1
    seats.held[seat] = 0
    for kind in range(seats.objects.shape[1]):
        seats.objects[seat, kind] = 0
    _swap(seats.place[seat], taken - 1, seats)
    return taken - 1


@njit(cache=True)
def _swap(one, other, seats):  # type: ignore[no-untyped-def]
    first, second = seats.order[one], seats.order[other]
    seats.order[one], seats.order[other] = second, first
    seats.place[first], seats.place[second] = other, one


@njit(cache=True)
def _slabs(number, kind, rules, charges):  # type: ignore[no-untyped-def]
    """Slabs under so many leftovers of one memcg: of many generations, on slabs that each refilled."""
    if kind == rules.page_kind:
        return number
    return min(number, max(charges.slabs[kind], -(-number // rules.slab_objects[kind])))
