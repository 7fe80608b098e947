"""Reuse of dead memcgs: a new cgroup takes over a dead one, with whatever that one left behind.

A dead memcg is taken as soon as a cgroup is made, whichever it is (the thread leaves that open), so what leftovers
gather on is not memcgs but *seats*: struct mem_cgroups that hold leftovers, dead or online. A step's cgroups come and
go one by one: who goes is any of those online, and comings and goings alternate as in a queue with unlimited servers,
held to the numbers of the population. Reclaim works as in `core.lifecycle.pinning`; stacks of stray tasks and objects
older than a memcg's kmem_caches are left out.

Where a step has far more comings than there are memcgs online, `_simulated` of them stand for all: seats have long
forgotten the earlier ones.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from core.lifecycle.leftovers import DYING, DYING_WITH_CACHES, OWN_OBJECTS, SHARED_OBJECTS, SLABS, Rules, state
from core.lifecycle.pinning import SAMPLES
from core.lifecycle.population import STEPS, Population
from core.lifecycle.reclaim import (
    CALENDAR_TICKS,
    MEMCG,
    NONE,
    PICK,
    SEAT,
    TURN,
    age_ticks,
    cache_until,
    int64s,
    miss,
    new_common,
    turn_clock,
    uniform,
)
from core.lifecycle.seats import (
    DEAD,
    TAKEN,
    Charges,
    bury,
    cease,
    empty,
    hold,
    new_leftovers,
    new_seats,
    slabs_of_seat,
    take_dead,
)

INHERITED, OVER_HALF, FORCED, FORCED_BYTES = int64s(*range(4))  # sums over new cgroups


class Fairness(NamedTuple):
    """What new cgroups inherit, over a scenario."""

    inherited_bytes: float  # mean per new cgroup
    over_half: float  # share of new cgroups that start over half their limit
    forced_reclaims: float  # per new cgroup: it cannot run before what it inherited is reclaimed
    forced_bytes: float  # reclaimed so, in all


def take_over(
    population: Population, rules: Rules, charges: Charges
) -> tuple[NDArray[np.int64], NDArray[np.int64], float, Fairness]:
    """Walk through a scenario; returns what `core.lifecycle.pinning.pin` does, and the fairness."""
    private, common, kinds = population.followed.left_kind, population.objects.kind, rules.kinds
    births = _simulated(population)
    sums, samples = np.zeros(3 + 4 * kinds, np.int64), np.zeros((SAMPLES, 3 + 4 * kinds), np.int64)
    seats = new_seats(private.size + common.size, kinds)
    leftovers = new_leftovers(private, common, int(births.max()))
    fair = np.zeros(4)
    clock = _walk(
        population.arrivals, population.online, births, population.followed, population.objects, rules, charges,
        new_common(common.size), seats, leftovers, sums, samples, fair,
    )  # fmt: skip
    born = max(int(population.arrivals.sum()), 1)
    return samples, sums, clock, Fairness(fair[0] / born, fair[1] / born, fair[2] / born, fair[3])


def _simulated(population: Population) -> NDArray[np.int64]:
    """Births of each step that are followed one by one, `[STEPS]`: two generations, and all that leave something."""
    online = population.online
    grown = np.diff(online, prepend=0)
    enough = np.maximum(64 + 2 * np.maximum(online, online - grown), grown + np.diff(population.followed.off_start))
    births: NDArray[np.int64] = np.minimum(population.arrivals, enough)
    return births


@njit(cache=True)
def _walk(  # type: ignore[no-untyped-def]
    arrivals, online, births, followed, objects, rules, charges, common, seats, leftovers, sums, samples, fair
):
    """Fill `sums`, `samples` and `fair`; returns the clock at the end."""
    root_objects = np.zeros(rules.kinds, np.int64)  # common objects charged to nobody
    count = np.zeros(sums.size, np.int64)
    missing, here, clock = np.int64(0), np.int64(0), 0.0
    for j in range(objects.kind.size):
        cache_until(age_ticks(objects, j, np.int64(0)), j, common)
        root_objects[objects.kind[j]] += 1
    for step in range(STEPS):
        used = rules.live_bytes[step]
        for i in range(count.size):
            used += count[i] * rules.bytes_each[i]
        before = np.int64(clock)
        clock = turn_clock(clock, used, rules.page_cache_bytes)
        now = np.int64(clock)
        missing = _reclaim(before, now, arrivals[step], missing, root_objects, objects, common, seats, leftovers)
        missing = _needed(before, now, arrivals[step], births[step], missing, objects, common, leftovers)
        _come_and_go(
            step, before, now, arrivals[step], births[step], here, online[step],
            followed, objects, rules, charges, seats, leftovers, fair,
        )  # fmt: skip
        here = online[step]
        _count(count, root_objects, rules, charges, seats)
        for i in range(count.size):
            sums[i] += count[i]
            if (step + 1) % (STEPS // SAMPLES) == 0:
                samples[(step + 1) // (STEPS // SAMPLES) - 1, i] = count[i]
    return clock


@njit(cache=True)
def _reclaim(before, now, born, missing, root_objects, objects, common, seats, leftovers):  # type: ignore[no-untyped-def]
    """Turn the reclaim clock; returns how many common objects are missing by now."""
    private = leftovers.ceases_next.size
    for tick in range(before, now):
        i = leftovers.ceases[tick]
        while i != NONE:
            cease(i, seats, leftovers)
            i = leftovers.ceases_next[i]
        j = common.evicts[tick]
        while j != NONE:
            if leftovers.seat[private + j] == NONE:
                root_objects[objects.kind[j]] -= 1
            cease(private + j, seats, leftovers)
            miss(j, tick, before, now, born, objects, common)
            common.missing[missing] = j
            missing += 1
            j = common.evicts_next[j]
    return missing


@njit(cache=True)
def _needed(before, now, born, births, missing, objects, common, leftovers):  # type: ignore[no-untyped-def]
    """Give missing objects to this step's new cgroups, by their rank; returns how many are still missing."""
    still_missing = np.int64(0)
    for i in range(missing):
        j = common.missing[i]
        rank = common.wait[j]
        if rank >= born:
            common.wait[j] -= born
            common.missing[still_missing] = j
            still_missing += 1
            continue
        birth = rank * births // born
        leftovers.needed_next[j] = leftovers.needed[birth]
        leftovers.needed[birth] = j
        end = before + rank * (now - before) // born + age_ticks(objects, j, common.turn[j])
        cache_until(max(end, now), j, common)  # not evicted again within the step
    return still_missing


@njit(cache=True)
def _come_and_go(  # type: ignore[no-untyped-def]
    step, before, now, born, births, here, then, followed, objects, rules, charges, seats, leftovers, fair
):
    """A step's cgroups, from `here` memcgs online to `then`; each birth stands for `born / births`."""
    deaths, leaving = here + births - then, followed.off_start[step]
    came, went = np.int64(0), np.int64(0)
    while came < births or went < deaths:
        turn = came + went
        comes = _draw(objects, turn, step, TURN) * (charges.mean_online + here) <= charges.mean_online
        if went == deaths or (comes and came < births):
            _is_born(came, step, born / births, objects, rules, charges, seats, leftovers, fair)
            came += 1
            here += 1
            continue
        place = seats.bound[DEAD] + np.int64((1.0 - _draw(objects, turn, step, SEAT)) * here)
        m = np.int64(NONE)
        to_leave = followed.off_start[step + 1] - leaving
        if _draw(objects, turn, step, PICK) * (deaths - went) <= to_leave:
            m = np.int64(leaving)
            leaving += 1
        _goes_offline(place, m, before, now, followed, rules, seats, leftovers)
        went += 1
        here -= 1


@njit(cache=True)
def _is_born(birth, step, weight, objects, rules, charges, seats, leftovers, fair):  # type: ignore[no-untyped-def]
    """mkdir(): take over a dead memcg if there is one. What the new cgroup misses is charged to it."""
    seat = seats.order[seats.bound[TAKEN]]
    if seats.bound[DEAD] > 0:
        seat = take_dead(_draw(objects, birth, step, MEMCG), seats)
        legacy = 0.0
        for kind in range(rules.kinds):
            legacy += slabs_of_seat(seats.objects[seat, kind], kind, rules, charges) * charges.slab_bytes[kind]
        fair[INHERITED] += weight * legacy
        fair[OVER_HALF] += weight * (legacy > charges.limit_bytes / 2)
        if legacy + charges.own_bytes > charges.limit_bytes:
            fair[FORCED] += weight
            fair[FORCED_BYTES] += weight * legacy
            empty(seat, seats)
    j = leftovers.needed[birth]
    leftovers.needed[birth] = NONE
    while j != NONE:
        hold(leftovers.ceases_next.size + j, seat, rules, seats, leftovers)
        j = leftovers.needed_next[j]


@njit(cache=True)
def _goes_offline(place, m, before, now, followed, rules, seats, leftovers):  # type: ignore[no-untyped-def]
    """rmdir() of the memcg at a place among those online, which leaves what followed memcg `m` does; NONE: nothing."""
    holds = place < seats.bound[TAKEN]
    seat = seats.order[place] if holds else seats.order[seats.bound[TAKEN]]
    if m != NONE:
        for k in range(followed.left_start[m], followed.left_start[m + 1]):
            end = (before + now) // 2 + followed.left_ticks[k]
            if end < now:
                continue
            if end < CALENDAR_TICKS:
                leftovers.ceases_next[k] = leftovers.ceases[end]
                leftovers.ceases[end] = k
            hold(k, seat, rules, seats, leftovers)
    bury(seat, seats)


@njit(cache=True)
def _count(count, root_objects, rules, charges, seats):  # type: ignore[no-untyped-def]
    """Objects of dead memcgs are on slabs of their own, the others on slabs that a memcg online refills."""
    count[:] = 0
    dead, kinds = seats.bound[DEAD], rules.kinds
    count[DYING] = count[DYING_WITH_CACHES] = dead
    for kind in range(kinds):
        if kind == rules.page_kind:
            continue
        for place in range(seats.bound[TAKEN]):
            number = seats.objects[seats.order[place], kind]
            if place < dead:
                count[state(SLABS, kind, kinds)] += slabs_of_seat(number, kind, rules, charges)
                count[state(OWN_OBJECTS, kind, kinds)] += number
            else:
                count[state(SHARED_OBJECTS, kind, kinds)] += number
        count[state(SHARED_OBJECTS, kind, kinds)] += root_objects[kind]


@njit(cache=True)
def _draw(objects, which, step, use):  # type: ignore[no-untyped-def]
    return uniform(objects.seed, which, step + (MEMCG << 32), use)
