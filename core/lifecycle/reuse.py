"""Reuse of dead memcgs: a new cgroup takes over a dead one, with whatever that one left behind.

A dead memcg is taken as soon as a cgroup is made, whichever it is (the thread leaves that open), so what leftovers
gather on is not memcgs but *seats*: struct mem_cgroups that hold leftovers, dead or online. A step's cgroups come and
go one by one: who goes is any of those online, and comings and goings alternate as in a queue with unlimited servers,
held to the numbers of the population. Reclaim works as in `core.lifecycle.pinning`; what ends by itself
(`Workload.pins`, stacks of stray tasks) and objects older than a memcg's kmem_caches are left out.

Where a step has far more comings than there are memcgs online, `_simulated` of them stand for all: seats have long
forgotten the earlier ones.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from core.compiled import entry, part
from core.lifecycle.books import SAMPLES, ZOMBIES, Step
from core.lifecycle.leftovers import (
    DYING,
    DYING_WITH_CACHES,
    OWN_OBJECTS,
    ROOT_OBJECTS,
    SHARED_OBJECTS,
    SLABS,
    Rules,
    counts_of,
    state,
)
from core.lifecycle.pinning import Walked, use
from core.lifecycle.population import STEPS, Followed, Objects, Population
from core.lifecycle.reclaim import (
    CALENDAR_TICKS,
    MEMCG,
    NONE,
    PICK,
    SEAT,
    TURN,
    Common,
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
    Leftovers,
    Seats,
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


class ReuseWalk(NamedTuple):
    """A scenario under `reuse_dead`: what is given, and what changes as it is walked through."""

    followed: Followed
    objects: Objects
    rules: Rules
    charges: Charges
    common: Common
    seats: Seats
    leftovers: Leftovers
    of_root: NDArray[np.int64]  # [kinds] common objects charged to nobody
    fair: NDArray[np.float64]  # [4] sums over new cgroups
    seen: NDArray[np.int64]  # [2] as in core.lifecycle.books.Books


class Traffic(NamedTuple):
    """A step's comings and goings: memcgs online before and after it, and births that are followed one by one."""

    here: int
    then: int
    births: int  # each stands for `Step.born / births`


def take_over(population: Population, rules: Rules, charges: Charges) -> tuple[Walked, Fairness]:
    """Walk through a scenario; returns what `core.lifecycle.pinning.pin` does, and the fairness."""
    private, common, kinds = population.followed.left_kind, population.objects.kind, rules.kinds
    births = _simulated(population)
    counts = counts_of(kinds)
    counted, sums, samples = (
        np.zeros(counts, np.int64),
        np.zeros(counts, np.int64),
        np.zeros((SAMPLES, counts), np.int64),
    )
    taking = ReuseWalk(
        followed=population.followed,
        objects=population.objects,
        rules=rules,
        charges=charges,
        common=new_common(common.size),
        seats=new_seats(private.size + common.size, kinds),
        leftovers=new_leftovers(private, common, int(births.max())),
        of_root=np.zeros(kinds, np.int64),
        fair=np.zeros(4),
        seen=np.array([0, STEPS]),
    )
    clock = _walk(taking, population.arrivals, population.online, births, counted, sums, samples)
    inherited, over_half, forced, forced_bytes = taking.fair
    born = max(int(population.arrivals.sum()), 1)
    zombies, full_step = (int(each) for each in taking.seen)
    walked = Walked(samples, sums, clock, zombies / max(int(births.sum() - population.online[-1]), 1), full_step)
    return walked, Fairness(inherited / born, over_half / born, forced / born, forced_bytes)


def _simulated(population: Population) -> NDArray[np.int64]:
    """Births of each step that are followed one by one, `[STEPS]`: two generations, and all that leave something."""
    online = population.online
    grown = np.diff(online, prepend=0)
    enough = np.maximum(64 + 2 * np.maximum(online, online - grown), grown + np.diff(population.followed.off_start))
    births: NDArray[np.int64] = np.minimum(population.arrivals, enough)
    return births


@entry
def _walk(taking, arrivals, online, births, count, sums, samples):  # type: ignore[no-untyped-def]
    """Fill `sums`, `samples` and `taking.fair`; returns the clock at the end."""
    rules, objects, common = taking.rules, taking.objects, taking.common
    missing, here, clock = 0, 0, 0.0
    for j in range(objects.kind.size):
        cache_until(age_ticks(objects, j, np.int64(0)), j, common)
        taking.of_root[objects.kind[j]] += 1
    for number in range(STEPS):
        before = int(clock)
        clock = turn_clock(clock, use(rules, count, number, taking.seen), rules.page_cache_bytes)
        step = Step(number, before, int(clock), arrivals[number])
        missing = _reclaim(step, missing, taking)
        missing = _needed(step, births[number], missing, objects, common, taking.leftovers)
        _come_and_go(step, Traffic(here, online[number], births[number]), taking)
        here = online[number]
        _count(count, taking)
        for i in range(count.size):
            sums[i] += count[i]
            if (number + 1) % (STEPS // SAMPLES) == 0:
                samples[(number + 1) // (STEPS // SAMPLES) - 1, i] = count[i]
    return clock


@part
def _reclaim(step, missing, taking):  # type: ignore[no-untyped-def]
    """Turn the reclaim clock; returns how many common objects are missing by now."""
    objects, common, seats, leftovers = taking.objects, taking.common, taking.seats, taking.leftovers
    private = leftovers.ceases_next.size
    for tick in range(step.before, step.now):
        i = leftovers.ceases[tick]
        while i != NONE:
            cease(i, seats, leftovers)
            i = leftovers.ceases_next[i]
        j = common.evicts[tick]
        while j != NONE:
            if leftovers.seat[private + j] == NONE:
                taking.of_root[objects.kind[j]] -= 1
            cease(private + j, seats, leftovers)
            miss(j, tick, step.before, step.now, step.born, objects, common)
            common.missing[missing] = j
            missing += 1
            j = common.evicts_next[j]
    return missing


@part
def _needed(step, births, missing, objects, common, leftovers):  # type: ignore[no-untyped-def]
    """Give missing objects to this step's new cgroups, by their rank; returns how many are still missing."""
    still_missing = np.int64(0)
    for i in range(missing):
        j = common.missing[i]
        rank = common.wait[j]
        if rank >= step.born:
            common.wait[j] -= step.born
            common.missing[still_missing] = j
            still_missing += 1
            continue
        birth = rank * births // step.born
        leftovers.needed_next[j] = leftovers.needed[birth]
        leftovers.needed[birth] = j
        end = step.before + rank * (step.now - step.before) // step.born + age_ticks(objects, j, common.turn[j])
        cache_until(max(end, step.now), j, common)  # not evicted again within the step
    return still_missing


@part
def _come_and_go(step, traffic, taking):  # type: ignore[no-untyped-def]
    """A step's cgroups come and go, one by one."""
    here, births = traffic.here, traffic.births
    deaths, leaving = here + births - traffic.then, taking.followed.off_start[step.number]
    left_by, objects, seats = taking.followed.off_start[step.number + 1], taking.objects, taking.seats
    mean_online = taking.charges.mean_online
    came, went = np.int64(0), np.int64(0)
    while came < births or went < deaths:
        turn = came + went
        comes = _draw(objects, turn, step.number, TURN) * (mean_online + here) <= mean_online
        if went == deaths or (comes and came < births):
            _is_born(came, step.number, step.born / births, taking)
            came += 1
            here += 1
            continue
        place = seats.bound[DEAD] + np.int64((1.0 - _draw(objects, turn, step.number, SEAT)) * here)
        m = np.int64(NONE)
        if _draw(objects, turn, step.number, PICK) * (deaths - went) <= left_by - leaving:
            m = np.int64(leaving)
            leaving += 1
        _goes_offline(place, m, step, taking)
        went += 1
        here -= 1


@part
def _is_born(birth, number, weight, taking):  # type: ignore[no-untyped-def]
    """mkdir(): take over a dead memcg if there is one. What the new cgroup misses is charged to it."""
    rules, charges, seats, leftovers, fair = taking.rules, taking.charges, taking.seats, taking.leftovers, taking.fair
    seat = seats.order[seats.bound[TAKEN]]
    if seats.bound[DEAD] > 0:
        seat = take_dead(_draw(taking.objects, birth, number, MEMCG), seats)
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


@part
def _goes_offline(place, m, step, taking):  # type: ignore[no-untyped-def]
    """rmdir() of the memcg at a place among those online, which leaves what followed memcg `m` does; NONE: nothing."""
    followed, rules, seats, leftovers = taking.followed, taking.rules, taking.seats, taking.leftovers
    holds = place < seats.bound[TAKEN]
    seat = seats.order[place] if holds else seats.order[seats.bound[TAKEN]]
    if m != NONE:
        for k in range(followed.left_start[m], followed.left_start[m + 1]):
            end = (step.before + step.now) // 2 + followed.left_ticks[k]
            if end < step.now:
                continue
            if end < CALENDAR_TICKS:
                leftovers.ceases_next[k] = leftovers.ceases[end]
                leftovers.ceases[end] = k
            hold(k, seat, rules, seats, leftovers)
    taking.seen[ZOMBIES] += seats.held[seat] > 0
    bury(seat, seats)


@part
def _count(count, taking):  # type: ignore[no-untyped-def]
    """Objects of dead memcgs are on slabs of their own, the others on slabs that a memcg online refills."""
    count[:] = 0
    rules, charges, seats = taking.rules, taking.charges, taking.seats
    dead, kinds = seats.bound[DEAD], rules.kinds
    count[DYING] = count[DYING_WITH_CACHES] = dead
    for kind in range(kinds):
        for place in range(seats.bound[TAKEN]):
            number = seats.objects[seats.order[place], kind]
            if kind == rules.page_kind:
                count[state(OWN_OBJECTS, kind, kinds)] += number * (place < dead)
            elif place < dead:
                count[state(SLABS, kind, kinds)] += slabs_of_seat(number, kind, rules, charges)
                count[state(OWN_OBJECTS, kind, kinds)] += number
            else:
                count[state(SHARED_OBJECTS, kind, kinds)] += number
        if kind != rules.page_kind:
            count[state(ROOT_OBJECTS, kind, kinds)] = taking.of_root[kind]


@part
def _draw(objects, which, step, use):  # type: ignore[no-untyped-def]
    return uniform(objects.seed, which, step + (MEMCG << 32), use)
