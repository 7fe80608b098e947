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


def human(value: float | None, unit: str, half_width: float | None = None, plus_minus: str = " ±") -> str:
    """'1.5 KiB' for 1536 and 'B', '1.5 ±0.2 KiB' with half of its interval; a unit without a scale is appended."""
    if value is None or not math.isfinite(value):
        return "-"
    if unit == "%":
        value, half_width = 100 * value, None if half_width is None else 100 * half_width
    size, name = scale(value, unit)
    if value == 0 and not half_width:
        return "0"
    if half_width is None or not math.isfinite(half_width):
        return f"{three_digits(value / size)} {name}".rstrip()
    return f"{_with_half_width(value / size, half_width / size, plus_minus)} {name}".rstrip()


def _with_half_width(value: float, half: float, plus_minus: str) -> str:
    """Both with the same decimals: as many as three digits of the value and two of the half give, one at the least."""
    if half <= 1e-9 * abs(value):  # rounding of the arithmetic
        return f"{three_digits(value)}{plus_minus}0"
    decimals = min(_decimals(value, 3), _decimals(half, 2))
    said = f"{half:,.{decimals}f}"
    if not said.strip("0."):
        said = f"{half:.0e}" if half < 1e-4 else f"{half:.{_decimals(half, 1)}f}"
    return f"{value:,.{decimals}f}{plus_minus}{said}"


def _decimals(value: float, digits: int) -> int:
    return max(0, digits - 1 - math.floor(math.log10(abs(value)))) if value else 0


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
