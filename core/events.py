"""What happens on a host, one record each: objects of memcgs allocated and freed, memcgs online and offline.

Every design replays the same events. A scheduling quantum carries a 32-bit hash instead of a CPU, so that
`cpu = hash * cpus >> 32` spreads the same quanta over any number of CPUs.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

ALLOC, FREE, ONLINE, OFFLINE = range(4)
START, SAMPLE = 5, 6  # what happened before is not counted; how full stocks are is looked up
# 4 is an uncharge beside the stock: `core.charge.stock`
ROOT = 0  # the root memcg: its objects are never charged


def record_dtype(**fields: str) -> np.dtype[np.void]:
    """Return the dtype of records whose fields are attributes, under Numba and, to find a fault, without it."""
    return np.dtype((np.record, list(fields.items())))


EVENT = record_dtype(
    kind="u1",
    early="u1",  # ALLOC: the memcg's own kmem_cache does not exist yet
    cache="u2",  # ALLOC: index into the caches
    memcg="i4",  # ALLOC, ONLINE, OFFLINE: 1, 2, ...; ROOT is online from the start
    object="i4",  # ALLOC, FREE: 0, 1, ...; the number of one that was freed may be another's later
    cpu_hash="u4",
)
"""One event. FREE needs only `object` and `cpu_hash`: who is charged is found from the object, as in the kernel."""


class Window(NamedTuple):
    """Events as they were drawn, and the order in which they happen: block by block.

    Of events that were drawn once for many windows, a window has some blocks.
    """

    events: tuple[NDArray[np.void], NDArray[np.void]]  # EVENT: this window's own; drawn once for many
    blocks: NDArray[np.int64]  # [blocks, 3] which of both has it, its first event, that after its last; none is empty
    undisturbed: NDArray[np.bool_]  # [memcgs] all that happens to them, and no more, is in blocks that were drawn once
    objects: int  # numbers of objects are below

    @property
    def memcgs(self) -> int:
        """How many memcgs there are, the root included."""
        return self.undisturbed.size

    def own(self) -> Window:
        """Return what was drawn for this window only."""
        return self._replace(blocks=self.blocks[self.blocks[:, 0] == 0])

    @property
    def size(self) -> int:
        """How many events happen."""
        return int((self.blocks[:, 2] - self.blocks[:, 1]).sum())

    def in_order(self) -> NDArray[np.void]:
        """Return the events in the order in which they happen, `[events]`."""
        return np.concatenate([self.events[which][first:end] for which, first, end in self.blocks.tolist()])


def in_one_block(events: NDArray[np.void]) -> Window:
    """Return events, which are in order, as a window."""
    memcgs, objects = (int(events[name].max(initial=0)) + 1 for name in ("memcg", "object"))
    return Window((events, events[:0]), np.array([[0, 0, events.size]]), np.zeros(memcgs, np.bool_), objects)


def first_counted(kinds: NDArray[np.integer]) -> int:
    """Return the index of the first event, of objects or of pages, that counts: after START, or 0."""
    started = np.flatnonzero(kinds == START)
    return int(started[0]) + 1 if started.size else 0


def cpu_hash(cpu: NDArray[np.integer], cpus: int) -> NDArray[np.uint32]:
    """Return the least hash that falls on each given CPU, for programs that are pinned."""
    return (-(-(cpu.astype(np.int64) << 32) // cpus)).astype(np.uint32)
