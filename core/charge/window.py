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

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from core.blocks import Window
from core.charge.draw import NOTHING, Comings, Streams, draw, marks_of, new_room
from core.charge.load import burst, realisation, reserve, slots_of_streams, streams_key, taken_over, warm
from core.kept import Keyed, latest
from core.rng import keyed_generator

if TYPE_CHECKING:
    from core.params import Point

FILP = "filp"


class _Drawn(NamedTuple):
    """Streams as they were drawn, one after the other, behind what marks a window."""

    events: NDArray[np.void]  # PACKED
    begins: NDArray[np.float64]  # [blocks] when each happens
    blocks: NDArray[np.void]  # BLOCK
    of_stream: NDArray[np.int64]  # [streams + 1] where the blocks of each begin

    def of(self, at: int) -> tuple[NDArray[np.float64], NDArray[np.void]]:
        """Return when blocks happen, and what they are: of a stream, or -1: of the marks."""
        blocks = slice(self.of_stream[at] if at >= 0 else 0, self.of_stream[at + 1])
        return self.begins[blocks], self.blocks[blocks]


def charge_window(point: Point) -> Window:
    """Draw the window of a point's scenario on its machine.

    What follows START is the window, `allocations_per_cpu` allocations of every stream.
    """
    return _window(point, taken_over(point))


def still_window(point: Point) -> Window:
    """Draw the window of a point's machine in which nobody comes or goes."""
    return _window(point, [])


def _window(point: Point, coming: list[tuple[int, int]]) -> Window:
    first, last = slots_of_streams(point.workload.charge, point.cpus)
    comings = _by_slot(coming, int(last[-1]))
    before = np.insert(np.cumsum(np.diff(comings.of_slot)), 0, 0)
    disturbed = before[last] > before[first]
    if 2 * np.count_nonzero(disturbed) > point.cpus:  # what few would use is not worth its memory
        disturbed[:] = True
    undisturbed = None if disturbed.all() else _undisturbed(Keyed(streams_key(point), point))
    own = _draw(point, np.flatnonzero(disturbed), comings)
    found, redrawn = [own.of(-1)], np.cumsum(disturbed) - 1
    for stream in range(point.cpus):
        if undisturbed is None or disturbed[stream]:
            found.append(own.of(int(redrawn[stream])))
        else:
            found.append(undisturbed.of(stream))
    begins, blocks = (np.concatenate(each) for each in zip(*found, strict=True))
    blocks["drawn"] = np.repeat([0, *~disturbed], [each.size for each, _ in found])
    blocks = blocks[np.argsort(begins, kind="stable")]
    memcgs = np.zeros(1 + int(last[-1]) + comings.at.size, np.bool_)
    for at in np.flatnonzero(~disturbed):
        memcgs[1 + first[at] : 1 + last[at]] = True
    return Window(
        events=(own.events, own.events[:0] if undisturbed is None else undisturbed.events),
        blocks=blocks[blocks["first"] < blocks["end"]],
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
    seed = keyed_generator(realisation(point), "charge window").integers(0, 1 << 64, dtype=np.uint64)
    slots, marked = int(last[-1]), comings is not None
    comings = comings or _by_slot([], slots)
    disturbances = int((comings.of_slot[last[which]] - comings.of_slot[first[which]]).sum())
    room = new_room(streams, shares.size, which.size, marks_of(slots, comings.at.size), disturbances)
    draw(streams, shares / shares[-1], seed, which, marked, first, last, comings, room)
    events, blocks = room.events[: room.used[0]], room.blocks[: room.used[1]]
    blocks["end"] = np.append(blocks["first"][1:], events.size)
    return _Drawn(events, room.begins[: room.used[1]], blocks, room.of_stream)


def _streams(point: Point) -> Streams:
    mix, names = point.workload.charge, list(point.workload.charge.caches)
    slots = max(int(np.ceil(mix.memcgs_per_cpu)), 1)
    return Streams(
        length=warm(mix) + mix.allocations_per_cpu,
        warm=warm(mix),
        fill=round(reserve(point) * burst(mix) * (1 - mix.short_lived)),
        burst=burst(mix),
        slots=slots,
        objects=slots * (burst(mix) + 1),
        quantum=mix.quantum_allocations,
        homes=mix.home_cpus,
        migrates=mix.migrates,
        short_lived=mix.short_lived,
        outlives=mix.outlives,
        remote_frees=mix.remote_frees,
        creation=round(point.workload.cache_creation_s * mix.allocations_hz_per_cpu),
        filp=NOTHING if point.kernel.filp_by_rcu or FILP not in names else names.index(FILP),
    )


def _by_slot(coming: list[tuple[int, int]], slots: int) -> Comings:
    slot, at = np.array(coming, np.int64).reshape(-1, 2).T
    order = np.argsort(slot, kind="stable")
    return Comings(
        of_slot=np.searchsorted(slot[order], np.arange(slots + 1)),
        at=at[order],
        memcg=slots + 1 + order,
    )
