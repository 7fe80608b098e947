"""Figures for people."""

import pytest

from analysis.units import human


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (0, "B", "0"),
        (1536, "B", "1.5 KiB"),
        (5 * 2**30, "B", "5 GiB"),
        (-3 * 2**20, "B", "-3 MiB"),
        (0.26, "ns", "0.26 ns"),
        (12345, "ns", "12.3 µs"),
        (604800, "s", "7 d"),
        (0.0312, "1", "0.0312"),
        (1234, "1", "1,234"),
        (95809.3, "1", "95,809"),
        (0.00012, "1", "1e-04"),
        (4.2e6, "1/s", "4,200,000 1/s"),
        (float("inf"), "ns", "-"),
        (float("nan"), "1", "-"),
        (None, "B", "-"),
    ],
)
def test_human(value, unit, text):
    """Three digits, the multiple that keeps them short, and a dash where there is no figure."""
    assert human(value, unit) == text


@pytest.mark.parametrize(
    ("value", "half", "unit", "text"),
    [
        (186.4 * 2**20, 17.2 * 2**20, "B", "186 ±17 MiB"),
        (1.1 * 2**30, 0.0219 * 2**30, "B", "1.10 ±0.02 GiB"),
        (46.9, 15.2, "ns", "47 ±15 ns"),
        (275, 0.0149, "us", "275 ±0.01 µs"),
        (2, 0, "1", "2 ±0"),
        (0, 0, "ns", "0"),
        (5, None, "ns", "5 ns"),
        (0.655, 0.012, "%", "65.5 ±1.2 %"),
    ],
)
def test_human_with_half_an_interval(value, half, unit, text):
    """Both have the same decimals and one unit; without an interval there is none."""
    assert human(value, unit, half) == text
