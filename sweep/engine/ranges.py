"""Stretches of positions: what is left to do, in constant memory however long the plan is."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable


class Ranges:
    """An ordered set of disjoint stretches `[start, stop)`."""

    def __init__(self, stretches: Iterable[tuple[int, int]]) -> None:
        self._stretches = [stretch for stretch in stretches if stretch[0] < stretch[1]]
        self._left = sum(stop - start for start, stop in self._stretches)

    def __len__(self) -> int:
        return self._left

    def ends(self) -> tuple[int, int]:
        """Return the first and the last position."""
        return self._stretches[0][0], self._stretches[-1][1] - 1

    def ends_within(self, start: int, length: int) -> tuple[int, int] | None:
        """Return the first and the last position of those from `start` on, of so many; None where there are none."""
        stop = start + length
        first = bisect_right(self._stretches, start, key=lambda stretch: stretch[1])
        last = bisect_left(self._stretches, stop, key=lambda stretch: stretch[0]) - 1
        if first > last:
            return None
        return max(start, self._stretches[first][0]), min(stop, self._stretches[last][1]) - 1

    def stretches(self) -> list[tuple[int, int]]:
        """Return all that is in it, in order."""
        return list(self._stretches)

    def spread(self, most: int) -> list[int]:
        """Return positions spread evenly over all that is left, no more than `most`."""
        step = max(1, self._left // most)
        found, skip = list[int](), 0
        for start, stop in self._stretches:
            found += range(start + skip, stop, step)
            skip = -(stop - start - skip) % step
        return found[:most]

    def take_up(self, first: int, stop: int) -> tuple[int, int]:
        """Remove what is left from `first` on, without a gap and no further than to `stop`; return it."""
        return self._take(first, (first, stop))

    def take_down(self, last: int, start: int) -> tuple[int, int]:
        """Remove what is left down from `last`, without a gap and no further than from `start` on; return it."""
        return self._take(last, (start, last + 1))

    def _take(self, position: int, wanted: tuple[int, int]) -> tuple[int, int]:
        """Remove what is wanted of the stretch that has a position."""
        at = bisect_right(self._stretches, position, key=lambda stretch: stretch[0]) - 1
        start, stop = self._stretches[at]
        taken = max(start, wanted[0]), min(stop, wanted[1])
        rest = ((start, taken[0]), (taken[1], stop))
        self._stretches[at : at + 1] = [each for each in rest if each[0] < each[1]]
        self._left -= taken[1] - taken[0]
        return taken


def missing(done: Iterable[tuple[int, int]], total: int) -> Ranges:
    """Return what of `[0, total)` is in none of the disjoint stretches `done`."""
    gaps, at = [], 0
    for start, stop in sorted(done):
        gaps.append((at, min(start, total)))
        at = stop
    return Ranges([*gaps, (at, total)])
