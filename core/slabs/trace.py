"""What a replay on slabs leaves behind, and how that of one window is made of two.

Memcgs that have slabs of their own meet nowhere on them: what some do is the same whatever others do. So those whom no
coming disturbs are replayed once for all churn rates.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from core.blocks import Window

OF_ITS_OWN = -1  # a block that was drawn for this window only


@dataclass(frozen=True)
class SlabTrace:
    """What a run of events did to the slabs.

    pages: `PAGE_EVENT` records in order. firsts: `[blocks]` as `firsts_of` gives them, page_ends: `[blocks]` how many
    page events there are after each, objects: `[blocks, 3]` ALLOCATED, FREED and OF_MEMCGS in each, after START;
    OF_MEMCGS of those ALLOCATED are on slabs of a memcg's own or, where all share them, a memcg's. instances:
    `[memcgs, caches]` records of `INSTANCE`, row 0 the root caches: limits and slabs held at the end. cpus_holding:
    `[memcgs, caches]` CPUs with a slab of their own or a partial list at the end. dead: `[memcgs]` 1 after offline.
    identity: `[memcgs]` the memcg that each one is, itself unless it took over a dead one.
    """

    pages: NDArray[np.void]
    firsts: NDArray[np.int64]
    page_ends: NDArray[np.int64]
    objects: NDArray[np.int64]
    instances: NDArray[np.void]
    cpus_holding: NDArray[np.intp]
    dead: NDArray[np.int64]
    identity: NDArray[np.int64]

    def counted(self, which: int) -> int:
        """Return how many objects are counted of ALLOCATED, FREED or OF_MEMCGS."""
        return int(self.objects[:, which].sum())


def firsts_of(window: Window) -> NDArray[np.int64]:
    """Return the first event of each block that was drawn once for many windows, or OF_ITS_OWN."""
    return np.where(window.drawn_once, window.blocks["first"], OF_ITS_OWN)


def joined(own: SlabTrace, others: SlabTrace, window: Window) -> SlabTrace:
    """Return the trace of a window on slabs of memcgs' own, from that of `window.own()` and one with its other blocks.

    `others` may have more blocks than the window has, and other things happen in it to memcgs that are disturbed here.
    """
    drawn_once = window.drawn_once
    at = np.empty(drawn_once.size, np.intp)  # of each block in the two traces, one behind the other
    at[~drawn_once] = np.arange(own.page_ends.size)
    at[drawn_once] = own.page_ends.size + _places(others.firsts, window.blocks["first"][drawn_once])
    ends = np.append(own.page_ends, own.pages.size + others.page_ends)
    begins = np.append(0, ends[:-1])
    sizes = (ends - begins)[at]
    page_ends = np.cumsum(sizes)
    pages = np.append(own.pages, others.pages)[np.arange(sizes.sum()) + np.repeat(ends[at] - page_ends, sizes)]

    instances, cpus_holding = own.instances.copy(), own.cpus_holding.copy()
    undisturbed = np.flatnonzero(window.undisturbed)
    instances[undisturbed], cpus_holding[undisturbed] = others.instances[undisturbed], others.cpus_holding[undisturbed]
    return SlabTrace(
        pages=pages,
        firsts=firsts_of(window),
        page_ends=page_ends,
        objects=np.append(own.objects, others.objects, axis=0)[at],
        instances=instances,
        cpus_holding=cpus_holding,
        dead=own.dead,
        identity=own.identity,
    )


def _places(firsts: NDArray[np.int64], wanted: NDArray[np.int64]) -> NDArray[np.intp]:
    """Return where in `firsts` of a trace those wanted are."""
    found = np.flatnonzero(firsts != OF_ITS_OWN)
    found = found[np.argsort(firsts[found])]
    places: NDArray[np.intp] = found[np.searchsorted(firsts[found], wanted)]
    return places
