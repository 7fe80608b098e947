"""Figures for people."""

import pytest

from analysis.units import human


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (0, "B", "0 B"),
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
