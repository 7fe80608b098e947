"""The events of a charge window: who runs where, what is allocated, and who frees it.

Load comes in *streams*, one for each CPU of the machine: a stream allocates a given number of objects, in quanta of the
memcgs that it drives. A quantum runs on one of the CPUs that its memcg keeps to, so memcgs crowd on one CPU and leave
another alone, as a scheduler lets them. Stream `c` is drawn from a key of its own and CPUs are hashes: a machine of n
CPUs runs the first n streams of a larger one.

A window starts in the steady state. First, memcgs fill the slabs that their CPUs and nodes keep in reserve; then come
one and a half bursts, which are replayed and not counted. No object lives longer than a burst, so those in use are of
all ages by then, and stocks are full.

Memcgs that come and go are a layer of their own: they take over slots, free what their predecessors had in use, and
draw nothing from the streams. Windows in which nobody comes or goes are the same at every churn rate.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from core.charge.draw import NOTHING, Comings, Room, Streams, draw, most, new_room
from core.events import Window
from core.kept import Keyed, latest
from core.keys import identity
from core.rng import keyed_generator
from core.workload import ChargeMix

if TYPE_CHECKING:
    from core.params import Point

WARM_BURSTS = 1.5  # bursts of a memcg before the window is counted; an object lives for one burst at most
# What a memcg allocates and frees on each of its CPUs before that, as a share of what it keeps in a burst: by what
# bounds a CPU's partial list (`kernel.cpu_partial_rule`). With less or more, slabs kept in reserve by CPUs and nodes
# would grow or shrink for many bursts, and charges or uncharges prevail.
FILL = {"objects": 0.8, "slabs": 0.9, "off": 0.9}
FILL_OF_ARRAYS = 1.0  # of SLAB
FILP = "filp"


class _Drawn(NamedTuple):
    """Streams that were drawn, and the room that they are in."""

    room: Room
    blocks: NDArray[np.float64]  # [blocks, 3] when each begins, its first event, and the one after its last
    streams: NDArray[np.int64]  # [blocks] whose each is; NOTHING: of no stream


def charge_window(point: Point) -> Window:
    """Draw the window of a point's scenario on its machine.

    What follows START is the window, `allocations_per_cpu` allocations of every stream. Where memcgs come to few of the
    streams, the others are those of the window in which nobody comes, which is kept; those few go into the same room.
    """
    mix = point.workload.charge
    first, last = slots_of_streams(mix, point.cpus)
    comings = _by_slot(_taken_over(point), int(last[-1]))
    everything, touched = np.arange(point.cpus), np.flatnonzero(comings.of_slot[first] < comings.of_slot[last])
    if 2 * touched.size > point.cpus:
        return _window(point, comings, _drawn(point, comings, everything))
    calm = _calm(Keyed((_realisation(point), point.cpus, point.kernel.filp_by_rcu, _reserve(point)), point))
    if not comings.at.size:
        return _window(point, comings, calm)
    if not calm.room.has(most(_streams(point), touched.size, int(last[-1]), comings.at.size)):
        return _window(point, comings, _drawn(point, comings, everything))
    again = _drawn(point, comings, touched, calm.room)
    stays = ~np.isin(calm.streams, [NOTHING, *touched])
    blocks = np.concatenate([calm.blocks[stays], again.blocks])
    return _window(point, comings, _Drawn(calm.room, blocks, np.concatenate([calm.streams[stays], again.streams])))


@latest
def _calm(point: Keyed[Point]) -> _Drawn:
    """Return what is drawn where nobody comes or goes."""
    nobody = _by_slot([], memcgs_online(point.of.workload.charge, point.of.cpus))
    return _drawn(point.of, nobody, np.arange(point.of.cpus))


def _drawn(point: Point, comings: Comings, which: NDArray[np.int64], room: Room | None = None) -> _Drawn:
    """Draw some streams, into a room where others are, or into one of their own."""
    mix, streams = point.workload.charge, _streams(point)
    first, last = slots_of_streams(mix, point.cpus)
    shares = np.cumsum(list(mix.caches.values()))
    seed = keyed_generator(_realisation(point), "charge window").integers(0, 1 << 64, dtype=np.uint64)
    room = room or new_room(streams, shares.size, most(streams, which.size, int(last[-1]), comings.at.size))
    before, ends = int(room.used[1]), np.empty(1 + which.size, np.int64)
    draw(streams, shares / shares[-1], seed, first, last, comings, which, room, ends)
    begins, starts = room.blocks[before : room.used[1]].T
    blocks = np.stack([begins, starts, np.append(starts[1:], room.used[0])], axis=1)
    return _Drawn(room, blocks, np.repeat([NOTHING, *which], np.diff(ends, prepend=before)))


def _window(point: Point, comings: Comings, drawn: _Drawn) -> Window:
    """Put blocks in order: those that begin at once by stream, and then as they were drawn."""
    order = np.lexsort((drawn.streams, drawn.blocks[:, 0]))
    return Window(
        events=drawn.room.events[: drawn.room.used[0]],
        blocks=drawn.blocks[order, 1:].astype(np.int64),
        memcgs=memcgs_online(point.workload.charge, point.cpus) + comings.at.size + 1,
        objects=_streams(point).objects * point.cpus,
    )


def _streams(point: Point) -> Streams:
    mix = point.workload.charge
    names, widest = list(mix.caches), int(np.diff(slots_of_streams(mix, point.cpus), axis=0).max())
    return Streams(
        length=_warm(mix) + mix.allocations_per_cpu,
        warm=_warm(mix),
        fill=round(_reserve(point) * _burst(mix) * (1 - mix.short_lived)),
        burst=_burst(mix),
        slots=widest,
        objects=widest * (_burst(mix) + 1),
        quantum=mix.quantum_allocations,
        homes=mix.home_cpus,
        migrates=mix.migrates,
        short_lived=mix.short_lived,
        outlives=mix.outlives,
        remote_frees=mix.remote_frees,
        creation=round(point.workload.cache_creation_s * mix.allocations_hz_per_cpu),
        filp=NOTHING if point.kernel.filp_by_rcu or FILP not in names else names.index(FILP),
    )


def window_key(point: Point) -> Hashable:
    """Return all that the window of a point depends on: points that are equal in it have the same events."""
    taken_over = tuple(_taken_over(point))
    load = point.workload
    key = (_realisation(point), point.cpus, point.kernel.filp_by_rcu, _reserve(point), taken_over)
    return (*key, load.cache_creation_s) if taken_over else key


def slots_of_streams(mix: ChargeMix, cpus: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the first slot that each stream drives and the one after its last, `[cpus]`.

    A slot is a memcg that is online, or one after the other that takes its place. With less than one memcg per CPU
    several streams drive one.
    """
    ends = np.floor(np.arange(cpus + 1) * mix.memcgs_per_cpu + 1e-9).astype(np.int64)
    return ends[:-1], np.maximum(ends[1:], ends[:-1] + 1)


def memcgs_online(mix: ChargeMix, cpus: int) -> int:
    """Return how many memcgs are online at any time on a machine."""
    return int(slots_of_streams(mix, cpus)[1][-1])


def _reserve(point: Point) -> float:
    return FILL_OF_ARRAYS if point.allocator == "slab" else FILL[point.kernel.cpu_partial_rule]


def _burst(mix: ChargeMix) -> int:
    return max(round(mix.burst_allocations), 1)


def _warm(mix: ChargeMix) -> int:
    """Allocations of a stream in the warm-up: each memcg that it drives has its share."""
    return int(np.ceil(WARM_BURSTS * _burst(mix) * max(mix.memcgs_per_cpu, 1.0)))


def _realisation(point: Point) -> str:
    return f"{identity(point.workload.charge)} {point.seed} {point.replicate}"


def _taken_over(point: Point) -> list[tuple[int, int]]:
    """Slot and time, in allocations of the streams, of each memcg that comes online, in order of time.

    One Poisson process of unit rate, whose clock `churn_hz` sets, so that churn rates are compared in pairs.
    """
    mix = point.workload.charge
    length = _warm(mix) + mix.allocations_per_cpu
    mean = point.churn_hz * length / mix.allocations_hz_per_cpu
    if mean == 0:
        return []
    enough = int(mean + 12 * np.sqrt(mean) + 64)
    gaps = keyed_generator(_realisation(point), "comings").standard_exponential(enough)
    hashes = keyed_generator(_realisation(point), "slots of comings").random(enough)
    clock = np.cumsum(gaps)
    within = clock < mean
    at = clock[within] / mean * length
    slots = hashes[within] * memcgs_online(mix, point.cpus)
    return [(int(slot), int(time)) for slot, time in zip(slots, at, strict=True)]


def _by_slot(taken_over: list[tuple[int, int]], slots: int) -> Comings:
    slot, at = np.array(taken_over, np.int64).reshape(-1, 2).T
    order = np.argsort(slot, kind="stable")
    return Comings(
        of_slot=np.searchsorted(slot[order], np.arange(slots + 1)),
        at=at[order],
        memcg=slots + 1 + order,
    )
