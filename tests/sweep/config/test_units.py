"""Units that people think in, and refusals in the user's own words."""

import pytest

from sweep.config.units import as_said, in_own_unit, plain
from sweep.errors import InputError


@pytest.mark.parametrize(
    ("key", "text", "expected"),
    [
        ("churn_hz", "400/h", repr(400 / 3600)),
        ("churn_hz", "3/s", "3"),
        ("axes.churn_hz", "[1/min,0.5,36/h]", f"[{1 / 60!r},0.5,0.01]"),
        ("axes.churn_hz", "{log:[1/d,10/s,7]}", f"{{log:[{1 / 86400!r},10,7]}}"),
        ("duration_s", "7d", "604800"),
        ("duration_s", "1.5 h", "5400"),
        ("workload.pressure.memory_mib", "64GiB", "65536"),
        ("workload.pressure.refill_mib_s", "1GiB/s", "1024"),
        ("workload.file_kib", "1MiB", "1024"),
        ("kernel.page_bytes", "64KiB", "65536"),
        ("host.grace_period_ms", "0.02s", "20"),
        ("workload.charge.allocations_hz_per_cpu", "60/min", "1"),
        ("churn_hz", "1e-3", "1e-3"),
        ("churn_hz", "null", "null"),
        ("cpus", "8k", "8k"),
        ("kernel", "5.10", "5.10"),
        ("out", "s3://b/7d", "s3://b/7d"),
    ],
)
def test_quantities_are_in_the_unit_of_the_key(key, text, expected):
    """A number with a unit is that many of the key's own unit; all else stays as it is written."""
    assert in_own_unit(key, text, {}) == expected


def test_an_axis_of_a_file_has_units_too():
    """YAML has quantities as text."""
    assert plain("churn_hz", {"lin": ["36/h", "1/s", 3]}, {}) == {"lin": [0.01, 1.0, 3]}
    assert plain("design", ["objcg", None], {}) == ["objcg", None]


def test_unknown_units_are_refused():
    """With those that there are."""
    with pytest.raises(InputError, match=r"churn_hz must be a number, or one of .*/h.* \(got '4 per_h'|got '4/x'"):
        in_own_unit("churn_hz", "4/x", {})


def test_a_refusal_has_the_words_of_the_user():
    """What was 4000000/h on the command line is so in the message."""
    said = {}
    number = in_own_unit("duration_s", "90000w", said)

    assert as_said(f"duration_s must be from 1 to 1e9 (got {float(number)!r})", said).endswith("(got 90000w)")
