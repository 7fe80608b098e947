"""The events of a charge window: who runs where, what is allocated, and who frees it.

Load comes in *streams*, one for each CPU of the machine: a stream allocates a given number of objects, in quanta of the
memcgs that it drives. A quantum runs on one of the CPUs that its memcg keeps to, so memcgs crowd on one CPU and leave
another alone, as a scheduler lets them. Stream `c` is drawn from a key of its own and CPUs are hashes: a machine of n
CPUs runs the first n streams of a larger one.

A window starts in the steady state. First, memcgs fill the slabs that their CPUs and nodes keep in reserve; then come
one and a half bursts, which are replayed and not counted. No object lives longer than a burst, so those in use are of
all ages by then, and stocks are full.

Memcgs that come and go are a layer of their own: they take over slots, free what their predecessors had in use, and
draw nothing from the streams. Windows in which nobody comes or goes are the same at every churn rate, and in others
most streams are: what no coming disturbs is drawn once for all machines and churn rates of a realisation.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from core.charge.draw import NOTHING, Comings, Streams, draw, marks_of, new_room
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
    """Streams as they were drawn, one after the other, behind what marks a window."""

    events: NDArray[np.void]  # EVENT
    begins: NDArray[np.float64]  # [blocks] when each happens
    spans: NDArray[np.int64]  # [blocks, 2] first event of each, and the one after its last
    of_stream: NDArray[np.int64]  # [streams + 1] where the blocks of each begin

    def blocks(self, at: int) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """Return when blocks happen, and where they are: of a stream, or -1: of the marks."""
        blocks = slice(self.of_stream[at] if at >= 0 else 0, self.of_stream[at + 1])
        return self.begins[blocks], self.spans[blocks]


def charge_window(point: Point) -> Window:
    """Draw the window of a point's scenario on its machine.

    What follows START is the window, `allocations_per_cpu` allocations of every stream.
    """
    return _window(point, _taken_over(point))


def still_window(point: Point) -> Window:
    """Draw the window of a point's machine in which nobody comes or goes."""
    return _window(point, [])


def _window(point: Point, taken_over: list[tuple[int, int]]) -> Window:
    first, last = slots_of_streams(point.workload.charge, point.cpus)
    comings = _by_slot(taken_over, int(last[-1]))
    before = np.insert(np.cumsum(np.diff(comings.of_slot)), 0, 0)
    disturbed = before[last] > before[first]
    if 2 * np.count_nonzero(disturbed) > point.cpus:  # what few would use is not worth its memory
        disturbed[:] = True
    undisturbed = None if disturbed.all() else _undisturbed(Keyed(_streams_key(point), point))
    own = _draw(point, np.flatnonzero(disturbed), comings)
    found, redrawn = [own.blocks(-1)], np.cumsum(disturbed) - 1
    for stream in range(point.cpus):
        if undisturbed is None or disturbed[stream]:
            found.append(own.blocks(int(redrawn[stream])))
        else:
            found.append(undisturbed.blocks(stream))
    begins, spans = (np.concatenate(each) for each in zip(*found, strict=True))
    drawing = np.repeat([0, *~disturbed], [each.size for each, _ in found])
    blocks = np.column_stack([drawing, spans])[np.argsort(begins, kind="stable")]
    memcgs = np.zeros(1 + int(last[-1]) + comings.at.size, np.bool_)
    for at in np.flatnonzero(~disturbed):
        memcgs[1 + first[at] : 1 + last[at]] = True
    return Window(
        events=(own.events, own.events[:0] if undisturbed is None else undisturbed.events),
        blocks=blocks[blocks[:, 1] < blocks[:, 2]],
        undisturbed=memcgs,
        objects=_streams(point).objects * point.cpus,
    )


def _has_streams_of(drawn: _Drawn, point: Point) -> bool:
    return drawn.of_stream.size > point.cpus


@latest(serves=_has_streams_of)
def _undisturbed(streams: Keyed[Point]) -> _Drawn:
    """Draw the streams of a machine in which nobody comes or goes; those of smaller machines are among them."""
    return _draw(streams.of, np.arange(streams.of.cpus), None)


def _draw(point: Point, which: NDArray[np.intp], comings: Comings | None) -> _Drawn:
    """Draw streams of a point's machine; with what marks its window, if `comings` are given."""
    mix, streams = point.workload.charge, _streams(point)
    first, last = slots_of_streams(mix, point.cpus)
    shares = np.cumsum(list(mix.caches.values()))
    seed = keyed_generator(_realisation(point), "charge window").integers(0, 1 << 64, dtype=np.uint64)
    slots, marked = int(last[-1]), comings is not None
    comings = comings or _by_slot([], slots)
    disturbances = int((comings.of_slot[last[which]] - comings.of_slot[first[which]]).sum())
    room = new_room(streams, shares.size, which.size, marks_of(slots, comings.at.size), disturbances)
    draw(streams, shares / shares[-1], seed, which, marked, first, last, comings, room)
    events, (begins, starts) = room.events[: room.used[0]], room.blocks[: room.used[1]].T
    spans = np.stack([starts, np.append(starts[1:], events.size)], axis=1).astype(np.int64)
    return _Drawn(events, begins.copy(), spans, room.of_stream)


def _streams(point: Point) -> Streams:
    mix, names = point.workload.charge, list(point.workload.charge.caches)
    slots = max(int(np.ceil(mix.memcgs_per_cpu)), 1)
    return Streams(
        length=_warm(mix) + mix.allocations_per_cpu,
        warm=_warm(mix),
        fill=round(_reserve(point) * _burst(mix) * (1 - mix.short_lived)),
        burst=_burst(mix),
        slots=slots,
        objects=slots * (_burst(mix) + 1),
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
    key = (*still_key(point), taken_over)
    return (*key, load.cache_creation_s) if taken_over else key


def still_key(point: Point) -> tuple[Hashable, ...]:
    """Return all that the window of a point's machine depends on where nobody comes or goes."""
    return *_streams_key(point), point.cpus


def _streams_key(point: Point) -> tuple[Hashable, ...]:
    """Return all that the streams depend on where nobody comes or goes, but how many there are."""
    return _realisation(point), point.kernel.filp_by_rcu, _reserve(point)


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
