"""Events as a window keeps them: in blocks, each on one CPU and of one memcg, so that an event is 8 bytes."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from core.bits import cpu_of_hash, hash_of
from core.compiled import part
from core.events import ALLOC, record_dtype

PACKED = record_dtype(
    kind="u1",
    early="u1",
    detail="u2",  # ALLOC: index into the caches; FREE: IN_PLACE, or 1 + the home on which it is freed
    object="i4",
)
"""What an event (`core.events.EVENT`) has beside its block."""
IN_PLACE = 0  # on the CPU of the block

BLOCK = record_dtype(
    first="i8",  # of its events
    end="i8",  # after the last
    home_seed="u8",  # of the hashes of the CPUs that its memcg keeps to: `core.bits.hash_of`
    memcg="i4",  # of all but FREE, which needs none
    cpu_hash="u4",
    drawn="u1",  # which of a window's events these are of
)


class Window(NamedTuple):
    """Events as they were drawn, and the order in which they happen: block by block.

    Of events that were drawn once for many windows, a window has some blocks.
    """

    events: tuple[NDArray[np.void], NDArray[np.void]]  # PACKED: this window's own; drawn once for many
    blocks: NDArray[np.void]  # BLOCK; none is empty
    undisturbed: NDArray[np.bool_]  # [memcgs] all that happens to them, and no more, is in blocks that were drawn once
    objects: int  # numbers of objects are below

    @property
    def drawn_once(self) -> NDArray[np.bool_]:
        """Which blocks were drawn once for many windows, `[blocks]`."""
        once: NDArray[np.bool_] = self.blocks["drawn"] == 1
        return once

    @property
    def memcgs(self) -> int:
        """How many memcgs there are, the root included."""
        return self.undisturbed.size

    def own(self) -> Window:
        """Return what was drawn for this window only."""
        return self._replace(blocks=self.blocks[~self.drawn_once])

    @property
    def size(self) -> int:
        """How many events happen."""
        return int((self.blocks["end"] - self.blocks["first"]).sum())


def packed(events: NDArray[np.void]) -> Window:
    """Return events, one or more records of EVENT in order, as a window."""
    moves = (np.diff(events["memcg"]) != 0) | (events["cpu_hash"][1:] != events["cpu_hash"][:-1])
    firsts = np.append(0, np.flatnonzero(moves) + 1)
    blocks, records = np.zeros(firsts.size, BLOCK), np.zeros(events.size, PACKED)
    blocks["first"], blocks["end"] = firsts, np.append(firsts[1:], events.size)
    for name in ("memcg", "cpu_hash"):
        blocks[name] = events[name][firsts]
    for name in ("kind", "early", "object"):
        records[name] = events[name]
    records["detail"] = np.where(events["kind"] == ALLOC, events["cache"], IN_PLACE)
    memcgs, objects = (int(events[name].max()) + 1 for name in ("memcg", "object"))
    return Window((records, records[:0]), blocks, np.zeros(memcgs, np.bool_), objects)


@part
def cpu_that_frees(block, event, here, cpus):  # type: ignore[no-untyped-def]
    """CPU of a FREE; `here`: that of its block."""
    return here if event.detail == IN_PLACE else cpu_of_hash(hash_of(block.home_seed, event.detail - 1), cpus)
