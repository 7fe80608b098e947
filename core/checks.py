"""The one form every rule about a value takes: key, rule, value, way out."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any


def at_least(key: str, value: float, low: float, way_out: str = "") -> None:
    """Raise ValueError unless `value >= low`."""
    if not value >= low:
        raise ValueError(_line(key, f"must be at least {low}", value, way_out))


def at_most(key: str, value: float, high: float, way_out: str = "") -> None:
    """Raise ValueError unless `value <= high`."""
    if not value <= high:
        raise ValueError(_line(key, f"must be at most {high}", value, way_out))


def below(key: str, value: float, high: float, way_out: str = "") -> None:
    """Raise ValueError unless `value < high`."""
    if not value < high:
        raise ValueError(_line(key, f"must be below {high}", value, way_out))


def within(key: str, value: float, low: float, high: float, way_out: str = "") -> None:
    """Raise ValueError unless `low <= value <= high`."""
    if not low <= value <= high:
        raise ValueError(_line(key, f"must be from {low} to {high}", value, way_out))


def one_of(key: str, value: Any, allowed: Iterable[Any], way_out: str = "") -> None:
    """Raise ValueError unless `value` is one of `allowed`."""
    allowed = tuple(allowed)
    if value not in allowed:
        raise ValueError(_line(key, f"must be one of {', '.join(map(str, allowed))}", value, way_out))


def _line(key: str, rule: str, value: Any, way_out: str) -> str:
    return f"{key} {rule} (got {value!r})" + (f"; {way_out}" if way_out else "")
