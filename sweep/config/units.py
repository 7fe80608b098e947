"""Units that people think in: churn_hz=400/h, duration_s=7d, memory_mib=64GiB. A key keeps its own unit."""

from __future__ import annotations

import re
from typing import Any

from sweep.errors import InputError

SECONDS = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "min": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}
BYTES = {"B": 1, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40}
PER_SECOND = {f"/{name}": 1 / seconds for name, seconds in SECONDS.items()}
OWN_UNITS: dict[str, dict[str, float]] = {  # end of a key's name -> unit -> how many of the key's own it is
    "_hz": PER_SECOND,
    "_hz_per_cpu": PER_SECOND,
    "_mib_s": {f"{name}/s": size / BYTES["MiB"] for name, size in BYTES.items()},
    "_s": SECONDS,
    "_ms": {name: seconds * 1e3 for name, seconds in SECONDS.items()},
    "_mib": {name: size / BYTES["MiB"] for name, size in BYTES.items()},
    "_kib": {name: size / BYTES["KiB"] for name, size in BYTES.items()},
    "_bytes": dict(BYTES),
}
QUANTITY = re.compile(
    r"(?<![\w.\"'])(?P<amount>[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)\s?(?P<unit>/?[A-Za-z]+(?:/[A-Za-z]+)?)(?![\w.+-])"
)


def in_own_unit(key: str, text: str, said: dict[str, str]) -> str:
    """Return the text of a value (a number, a list, a range) with each quantity in the unit that the key's name says.

    said: takes, for each number that is put in a quantity's place, what the user wrote.
    """
    units = next((units for ending, units in OWN_UNITS.items() if key.endswith(ending)), None)
    if units is None:
        return text

    def number(found: re.Match[str]) -> str:
        if found["unit"] not in units:
            raise InputError(
                f"{key} must be a number, or one of {', '.join(units)} (got {found.group()!r}); use those units"
            )
        # a rate per hour is divided, not multiplied by a rounded 1/3600
        amount, unit = float(found["amount"]), units[found["unit"]]
        value = amount / round(1 / unit) if unit < 1 and (1 / unit).is_integer() else amount * unit
        written = repr(int(value)) if value.is_integer() else repr(value)
        said[written] = said[repr(value)] = found.group()
        return written

    return QUANTITY.sub(number, text)


def plain(key: str, spec: Any, said: dict[str, str]) -> Any:
    """Return the values of an axis, as a YAML file has them, with each quantity as a number."""
    if isinstance(spec, dict):
        return {name: plain(key, value, said) for name, value in spec.items()}
    if isinstance(spec, list):
        return [plain(key, value, said) for value in spec]
    if isinstance(spec, str) and (number := in_own_unit(key, spec, said)) != spec:
        return float(number)
    return spec


def as_said(line: str, said: dict[str, str]) -> str:
    """Return a refusal with the user's own text for a number that stands in its place."""
    for number, text in said.items():
        line = line.replace(f"(got {number})", f"(got {text})")
    return line
