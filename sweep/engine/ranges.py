"""Stretches of positions: what is left to do, in constant memory however long the plan is."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable


class Ranges:
    """An ordered set of disjoint stretches `[start, stop)`."""

    def __init__(self, stretches: Iterable[tuple[int, int]]) -> None:
        self._stretches = deque(stretch for stretch in stretches if stretch[0] < stretch[1])
        self._left = sum(stop - start for start, stop in self._stretches)

    def __len__(self) -> int:
        return self._left

    def ends(self) -> tuple[int, int]:
        """Return the first and the last position."""
        return self._stretches[0][0], self._stretches[-1][1] - 1

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

    def take_first(self, upto: int) -> tuple[int, int]:
        """Remove the first stretch, no further than to `upto`, and return what was removed."""
        start, stop = self._stretches.popleft()
        if upto < stop:
            self._stretches.appendleft((upto, stop))
            stop = upto
        self._left -= stop - start
        return start, stop

    def take_last(self, downto: int) -> tuple[int, int]:
        """Remove the last stretch, no further than from `downto` on, and return what was removed."""
        start, stop = self._stretches.pop()
        if downto > start:
            self._stretches.append((start, downto))
            start = downto
        self._left -= stop - start
        return start, stop


def missing(done: Iterable[tuple[int, int]], total: int) -> Ranges:
    """Return what of `[0, total)` is in none of the disjoint stretches `done`."""
    gaps, at = [], 0
    for start, stop in sorted(done):
        gaps.append((at, min(start, total)))
        at = stop
    return Ranges([*gaps, (at, total)])
