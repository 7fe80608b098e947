"""Figures for people: three digits and a unit that fits. Which unit a column has is said by its Parquet metadata."""

from __future__ import annotations

import math

Scale = tuple[tuple[float, str], ...]

SCALES: dict[str, Scale] = {
    "B": ((1, "B"), (2**10, "KiB"), (2**20, "MiB"), (2**30, "GiB"), (2**40, "TiB")),
    "ns": ((1, "ns"), (1e3, "µs"), (1e6, "ms"), (1e9, "s")),
    "s": ((1, "s"), (60, "min"), (3600, "h"), (86400, "d")),
    "1": ((1, ""), (1e6, "M"), (1e9, "G")),
}


def human(value: float | None, unit: str) -> str:
    """'1.5 KiB' for 1536 and 'B'; a unit that has no scale is appended as it is."""
    if value is None or not math.isfinite(value):
        return "-"
    scale = SCALES.get(unit, ((1, unit),))
    size, name = next(((size, name) for size, name in reversed(scale) if abs(value) >= size), scale[0])
    return f"{three_digits(value / size)} {name}".rstrip()


def three_digits(value: float) -> str:
    """Three significant digits, whole numbers in full, no exponent where it can be avoided."""
    if value == int(value) or abs(value) >= 100:
        return f"{value:,.0f}"
    if abs(value) < 1e-3:
        return f"{value:.0e}"
    return f"{value:.{2 - math.floor(math.log10(abs(value)))}f}".rstrip("0").rstrip(".")
