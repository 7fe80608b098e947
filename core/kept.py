"""What is worked out once for everything that has the same key, and how long it stays."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

T = TypeVar("T")
R = TypeVar("R")


@dataclass(frozen=True)
class Keyed(Generic[T]):
    """What something is worked out of; all that has the same key gives the same."""

    key: Hashable
    of: T = field(compare=False)


def always(_kept: object, _of: object) -> bool:
    """Whatever is kept under a key serves."""
    return True


def latest(
    serves: Callable[[Any, Any], bool] = always,
) -> Callable[[Callable[[Keyed[T]], R]], Callable[[Keyed[T]], R]]:
    """Keep what was worked out last, and let go of it before the next: of hundreds of megabytes there are never two.

    serves: whether what is kept under a key will do for another that has it.
    """

    def keeping(works_out: Callable[[Keyed[T]], R]) -> Callable[[Keyed[T]], R]:
        kept: dict[Keyed[T], R] = {}

        def get(of: Keyed[T]) -> R:
            if of not in kept or not serves(kept[of], of.of):
                kept.clear()
                kept[of] = works_out(of)
            return kept[of]

        return get

    return keeping
