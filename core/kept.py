"""What is worked out once for everything that has the same key, and how long it stays."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Generic, TypeVar

T = TypeVar("T")
R = TypeVar("R")
_forget: list[Callable[[], None]] = []  # what lets go of what was worked out, of each function that keeps any


@dataclass(frozen=True)
class Keyed(Generic[T]):
    """What something is worked out of; all that has the same key gives the same."""

    key: Hashable
    of: T = field(compare=False)


def always(_kept: object, _of: object) -> bool:
    """Whatever is kept under a key serves."""
    return True


class Latest(Generic[T, R]):
    """See `latest`."""

    def __init__(self, works_out: Callable[[Keyed[T]], R], serves: Callable[[Any, Any], bool]) -> None:
        self._works_out, self._serves = works_out, serves
        self._kept: dict[Keyed[T], R] = {}
        _forget.append(self._kept.clear)

    def __call__(self, of: Keyed[T]) -> R:
        """Return what is worked out of something."""
        if of not in self._kept or not self._serves(self._kept[of], of.of):
            self._kept.clear()
            self._kept[of] = self._works_out(of)
        return self._kept[of]

    def keep_only(self, of: Keyed[T]) -> None:
        """Let go of what is kept, unless it is of this."""
        if of not in self._kept:
            self._kept.clear()


def latest(
    serves: Callable[[Any, Any], bool] = always,
) -> Callable[[Callable[[Keyed[T]], R]], Latest[T, R]]:
    """Keep what was worked out last, and let go of it before the next: of hundreds of megabytes there are never two.

    serves: whether what is kept under a key will do for another that has it.
    """

    def keeping(works_out: Callable[[Keyed[T]], R]) -> Latest[T, R]:
        return Latest(works_out, serves)

    return keeping


def some(most: int) -> Callable[[Callable[..., R]], Callable[..., R]]:
    """Keep what was worked out for the arguments that were used last, so many of them."""

    def keeping(works_out: Callable[..., R]) -> Callable[..., R]:
        kept = lru_cache(maxsize=most)(works_out)
        _forget.append(kept.cache_clear)
        return kept

    return keeping


def let_go() -> None:
    """Let go of all that is kept: what comes next in this process is something else, and takes the room."""
    for forget in _forget:
        forget()
