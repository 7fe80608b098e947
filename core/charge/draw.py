"""Draws the events of a charge window, stream by stream; `core.charge.window` says of what."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from core.bits import GOLDEN, finalise, hash_of
from core.blocks import BLOCK, IN_PLACE, PACKED
from core.compiled import entry, part
from core.events import ALLOC, FREE, OFFLINE, ONLINE, ROOT, SAMPLE, START

LOOKS = 32  # times in a window at which it is looked up how much the stocks hold
SETTLING_MIGRATES = 0.5  # chance that a quantum migrates in the first burst, so that memcgs visit all their CPUs
NOTHING = -1
OWN, AWAY, LEFT = range(3)  # who frees an object: its memcg, another CPU for it, or reclaim


class Streams(NamedTuple):
    """What all streams have in common, as Numba reads it."""

    length: int  # allocations of a stream, the warm-up's included
    warm: int  # of these, in the warm-up
    fill: int  # objects of each fill of the slabs that a memcg's CPUs keep
    burst: int  # a memcg's allocations in a stream from the end of one burst to the next
    slots: int  # that a stream drives, at most
    objects: int  # of a stream, on the rings of its slots
    quantum: float  # mean length of a quantum
    homes: int  # CPUs that a memcg's tasks keep to
    migrates: float
    short_lived: float
    outlives: float
    remote_frees: float
    creation: int  # allocations until a memcg's own kmem_cache exists
    filp: int  # cache whose frees wait for no grace period; NOTHING: they do


class _Objects(NamedTuple):
    """Objects of the stream that is drawn, `[actors * ring]` each.

    None outlives a burst of its memcg, so a memcg's next allocations of a burst go round a ring.
    """

    following: NDArray[np.int32]  # the next one that is freed before the same allocation; NOTHING
    fate: NDArray[np.uint8]  # OWN, AWAY or LEFT
    cache: NDArray[np.uint16]
    away: NDArray[np.uint16]  # home whose CPU frees it, unless its fate is OWN
    heap: NDArray[np.int32]  # those that are freed now


class Room(NamedTuple):
    """Working memory, and what comes of it; NumPy's, whose pages cost nothing until they are touched."""

    events: NDArray[np.void]  # PACKED
    blocks: NDArray[np.void]  # BLOCK, but for their ends
    begins: NDArray[np.float64]  # [blocks] when each begins
    of_stream: NDArray[np.int64]  # [streams + 1] where the blocks of a stream begin, among those that are drawn
    used: NDArray[np.int64]  # [2] events, blocks
    due: NDArray[np.int32]  # [actors, ring] first object that an actor frees before an allocation
    objects: _Objects
    first_use: NDArray[np.int64]  # [actors, caches] allocation at which a memcg first uses a cache; NOTHING
    home_seed: NDArray[np.uint64]  # [actors] of the hashes of the CPUs that they keep to
    # [5, actors] allocations so far, the place of the next one on the ring, phase of bursts, memcg, its next coming
    actors: NDArray[np.int64]
    on: NDArray[np.uint32]  # [actors] hash of the CPU that it is on
    state: NDArray[np.uint64]  # [1] of the stream's random numbers
    luck: NDArray[np.uint64]  # [1] of numbers that the stream draws nothing for


class Comings(NamedTuple):
    """Memcgs that come online in the window, by slot, then time."""

    of_slot: NDArray[np.int64]  # [slots + 1] where those of a slot begin
    at: NDArray[np.int64]  # allocation of the streams before which a memcg takes over its slot
    memcg: NDArray[np.int64]  # its number


def new_room(streams: Streams, caches: int, number: int, marks: int, disturbances: int) -> Room:
    """Return room for the most events and blocks that a number of streams, and so many marks, can come to.

    disturbances: how often a coming disturbs a stream; one memcg that comes disturbs all that drive its slot.
    """
    widest, objects, fills = streams.slots, streams.objects, streams.homes * streams.slots
    blocks = marks + (fills + streams.length) * number + disturbances
    return Room(
        events=np.zeros(2 * (streams.length + fills * streams.fill) * number + marks, PACKED),
        blocks=np.zeros(blocks, BLOCK),
        begins=np.empty(blocks),
        of_stream=np.empty(number + 1, np.int64),
        used=np.zeros(2, np.int64),
        due=np.empty((widest, streams.burst + 1), np.int32),
        objects=_Objects(
            following=np.empty(objects, np.int32),
            fate=np.empty(objects, np.uint8),
            cache=np.empty(objects, np.uint16),
            away=np.empty(objects, np.uint16),
            heap=np.empty(objects, np.int32),
        ),
        first_use=np.empty((widest, caches), np.int64),
        home_seed=np.empty(widest, np.uint64),
        actors=np.empty((5, widest), np.int64),
        on=np.empty(widest, np.uint32),
        state=np.empty(1, np.uint64),
        luck=np.empty(1, np.uint64),
    )


@part
def _random(state):  # type: ignore[no-untyped-def]
    """Next number of a stream, in [0, 1): SplitMix64."""
    state[0] += GOLDEN
    return np.float64(finalise(state[0]) >> np.uint64(11)) * 2.0**-53


@part
def _drawn(shares, at):  # type: ignore[no-untyped-def]
    """Cache that a random number falls on; np.searchsorted would compile for a second, and search no faster."""
    cache = 0
    while shares[cache] <= at:
        cache += 1
    return cache


def marks_of(slots: int, comings: int) -> int:
    """Return how many events mark a window, each a block of its own."""
    return slots + 1 + LOOKS + 2 * comings


@entry
def draw(streams, shares, seed, which, marked, first, last, comings, room):  # type: ignore[no-untyped-def]
    """Write events of some streams one after the other, and the blocks they happen in: where each begins, and when.

    A block runs on one CPU without a break. Times are allocations of a stream; of blocks that begin at one allocation
    the streams' are in no particular order. What marks a window comes first, if it is `marked`.
    """
    slots = last[-1]
    events, due, objects = room.events, room.due, room.objects
    first_use, home_seed, on = room.first_use, room.home_seed, room.on
    allocated, place, phase, memcg, coming = room.actors
    used, state, luck, ring = room.used, room.state, room.luck, due.shape[1]

    if marked:
        _mark(room, streams, seed, slots, comings)
    for drawn in range(which.size):
        room.of_stream[drawn], stream = used[1], which[drawn]
        state[0] = finalise(seed + np.uint64(stream + 1) * GOLDEN)
        begins = 0.5 * _random(state)
        actors = last[stream] - first[stream]
        for actor in range(actors):
            home_seed[actor], on[actor] = state[0], hash_of(state[0], 0)
            state[0] += np.uint64(streams.homes) * GOLDEN
            phase[actor] = np.int64(_random(state) * streams.burst)
            allocated[actor] = place[actor] = 0
            memcg[actor] = first[stream] + actor + 1
            coming[actor] = comings.of_slot[first[stream] + actor]
        due[:actors] = NOTHING
        first_object = np.int64(stream * streams.objects)
        for actor in range(actors):
            for home in range(streams.homes):
                _begin(room, -0.5, memcg[actor], hash_of(home_seed[actor], home), home_seed[actor])
                _fill(events, used, streams, first_object, shares, objects, state, luck)
        first_use[:actors] = NOTHING
        running, left = np.int64(0), np.int64(0)
        for i in range(streams.length):
            fresh = i == streams.warm  # what begins before START ends before it
            for each in range(actors):
                slot = first[stream] + each
                while coming[each] < comings.of_slot[slot + 1] and comings.at[coming[each]] == i:
                    _begin(room, i - 0.2, memcg[each], on[each], home_seed[each])
                    luck[0] = finalise(state[0] ^ np.uint64(comings.memcg[coming[each]]))
                    _exit(events, used, streams, first_object, due[each], place[each], allocated[each], objects, luck)
                    memcg[each] = comings.memcg[coming[each]]
                    first_use[each] = NOTHING
                    coming[each] += 1
                    fresh = True
            if left == 0:
                fresh = True
                running = np.int64(_random(state) * actors)
                left = np.int64(1)
                if streams.quantum > 1.0:
                    left += np.int64(np.log(1.0 - _random(state)) / np.log(1.0 - 1.0 / streams.quantum))
                migrates = streams.migrates
                if allocated[running] < streams.burst and migrates > 0.0:
                    migrates = max(migrates, SETTLING_MIGRATES)
                if _random(state) < migrates:
                    on[running] = hash_of(home_seed[running], np.int64(_random(state) * streams.homes))
            left -= 1
            if fresh:
                _begin(room, i + begins, memcg[running], on[running], home_seed[running])

            k, here = allocated[running], place[running]
            luck[0] = finalise(state[0] ^ np.uint64(i))
            _free(events, used, streams, first_object, due[running], here, objects, luck)
            allocated[running] += 1
            place[running] = _on_ring(here + 1, ring)

            cache = _drawn(shares, _random(state))
            chance, span = _random(state), _random(state)
            elsewhere = _random(state) < streams.remote_frees
            obj = running * ring + here
            objects.away[obj] = np.int64(_random(state) * streams.homes)
            objects.cache[obj] = cache
            if chance < streams.short_lived:
                until = k + 1 + np.int64(-np.log(1.0 - span) * streams.quantum)
                objects.fate[obj] = AWAY if elsewhere else OWN
            elif chance < streams.short_lived + (1.0 - streams.short_lived) * streams.outlives:
                until = k + streams.burst
                objects.fate[obj] = LEFT
            else:
                until = k + streams.burst - (k + phase[running]) % streams.burst
                objects.fate[obj] = AWAY if elsewhere else OWN
            until = min(until, k + streams.burst)
            if until <= streams.length:
                there = _on_ring(here + until - k, ring)
                objects.following[obj] = due[running, there]
                due[running, there] = obj

            early = False
            if memcg[running] > slots:
                if first_use[running, cache] == NOTHING:
                    first_use[running, cache] = i
                early = i <= first_use[running, cache] + streams.creation
            event = _emit(events, used, ALLOC)
            event.early, event.detail, event.object = early, cache, first_object + obj
    room.of_stream[which.size] = used[1]


@part
def _mark(room, streams, seed, slots, comings):  # type: ignore[no-untyped-def]
    """Memcgs that go online and offline; where the window begins; when stocks are looked at."""
    for slot in range(slots):
        _mark_one(room, -1.0, ONLINE, slot + 1, np.uint32(0))
    _mark_one(room, streams.warm - 0.3, START, ROOT, np.uint32(0))
    for sample in range(LOOKS):
        at = streams.warm + sample * (streams.length - streams.warm) // LOOKS
        _mark_one(room, at - 0.25, SAMPLE, ROOT, np.uint32(0))
    for slot in range(slots):
        mine = slot + 1
        for each in range(comings.of_slot[slot], comings.of_slot[slot + 1]):
            at, drained_on = comings.at[each] - 0.1, hash_of(finalise(seed ^ np.uint64(comings.memcg[each])), 0)
            _mark_one(room, at, OFFLINE, mine, drained_on)
            mine = comings.memcg[each]
            _mark_one(room, at, ONLINE, mine, np.uint32(0))


@part
def _mark_one(room, at, kind, memcg, cpu_hash):  # type: ignore[no-untyped-def]
    _begin(room, at, memcg, cpu_hash, np.uint64(0))
    _emit(room.events, room.used, kind)


@part
def _on_ring(place, ring):  # type: ignore[no-untyped-def]
    return place if place < ring else place - ring


@part
def _fill(events, used, streams, first_object, shares, objects, state, luck):  # type: ignore[no-untyped-def]
    """Allocate and free what a memcg keeps in a burst, on one CPU: this CPU and its node have all slabs they keep."""
    luck[0] = finalise(state[0])
    for obj in range(streams.fill):
        objects.heap[obj] = obj
        objects.fate[obj] = OWN
        event = _emit(events, used, ALLOC)
        event.detail, event.object = _drawn(shares, _random(luck)), first_object + obj
    _shuffled_frees(events, used, streams, first_object, streams.fill, objects, luck)


@part
def _free(events, used, streams, first_object, actor_due, here, objects, luck):  # type: ignore[no-untyped-def]
    """Free what a memcg lets go before its next allocation in this stream, in random order."""
    count = 0
    obj = actor_due[here]
    while obj != NOTHING:
        objects.heap[count] = obj
        count += 1
        obj = objects.following[obj]
    actor_due[here] = NOTHING
    _shuffled_frees(events, used, streams, first_object, count, objects, luck)


@part
def _exit(events, used, streams, first_object, actor_due, here, k, objects, luck):  # type: ignore[no-untyped-def]
    """Free all that the tasks of a memcg have in use; what outlives them stays until reclaim has its turn."""
    count = 0
    for until in range(k, min(k + streams.burst, streams.length) + 1):
        at = _on_ring(here + until - k, actor_due.size)
        obj, actor_due[at] = actor_due[at], NOTHING
        while obj != NOTHING:
            following = objects.following[obj]
            if objects.fate[obj] == LEFT:
                objects.following[obj] = actor_due[at]
                actor_due[at] = obj
            else:
                objects.heap[count] = obj
                count += 1
            obj = following
    _shuffled_frees(events, used, streams, first_object, count, objects, luck)


@part
def _shuffled_frees(events, used, streams, first_object, count, objects, luck):  # type: ignore[no-untyped-def]
    heap = objects.heap
    for at in range(count):
        other = at + np.int64(_random(luck) * (count - at))
        heap[at], heap[other] = heap[other], heap[at]
        obj = heap[at]
        event = events[used[0]]
        event.kind, event.object = FREE, first_object + obj
        own = objects.fate[obj] == OWN or (objects.fate[obj] == AWAY and objects.cache[obj] == streams.filp)
        event.detail = IN_PLACE if own else 1 + objects.away[obj]
        used[0] += 1


@part
def _emit(events, used, kind):  # type: ignore[no-untyped-def]
    event = events[used[0]]
    event.kind = kind
    used[0] += 1
    return event


@part
def _begin(room, at, memcg, cpu_hash, home_seed):  # type: ignore[no-untyped-def]
    """Begin a block with the next event."""
    block = room.blocks[room.used[1]]
    block.first, block.memcg, block.cpu_hash, block.home_seed = room.used[0], memcg, cpu_hash, home_seed
    room.begins[room.used[1]] = at
    room.used[1] += 1
