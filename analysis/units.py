"""Figures for people: three digits and a unit that fits. Which unit a column has is said by its Parquet metadata."""

from __future__ import annotations

import math

SCALES: dict[str, tuple[tuple[float, str], ...]] = {
    "B": ((1, "B"), (2**10, "KiB"), (2**20, "MiB"), (2**30, "GiB"), (2**40, "TiB")),
    "ns": ((1, "ns"), (1e3, "µs"), (1e6, "ms"), (1e9, "s")),
    "us": ((1e-3, "ns"), (1, "µs"), (1e3, "ms"), (1e6, "s")),
    "ms": ((1e-3, "µs"), (1, "ms"), (1e3, "s")),
    "s": ((1, "s"), (60, "min"), (3600, "h"), (86400, "d")),
    "1": ((1, ""), (1e6, "M"), (1e9, "G")),
}


def human(value: float | None, unit: str) -> str:
    """'1.5 KiB' for 1536 and 'B'; a unit that has no scale is appended as it is."""
    if value is None or not math.isfinite(value):
        return "-"
    size, name = scale(value, unit)
    return f"{three_digits(value / size)} {name}".rstrip()


def scale(value: float, unit: str) -> tuple[float, str]:
    """The multiple of a unit in which `value` is a short number, and its name."""
    steps = SCALES.get(unit, ((1, unit),))
    return next((step for step in reversed(steps) if abs(value) >= step[0]), steps[0])


def three_digits(value: float) -> str:
    """Three significant digits, whole numbers in full, no exponent where it can be avoided."""
    if value == int(value) or abs(value) >= 100:
        return f"{value:,.0f}"
    if abs(value) < 1e-3:
        return f"{value:.0e}"
    return f"{value:.{2 - math.floor(math.log10(abs(value)))}f}".rstrip("0").rstrip(".")
