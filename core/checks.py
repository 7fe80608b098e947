"""The one form every rule about a value takes: key, rule, value, way out; and the rules that stand beside fields."""

from __future__ import annotations

import dataclasses
import difflib
import re
import typing
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, NamedTuple

UNITS = {  # end of a key's name -> unit
    "_hz_per_cpu": "1/s",
    "_hz": "1/s",
    "_mib_s": "MiB/s",
    "_ms_per_memcg": "ms",
    "_ns": "ns",
    "_us": "us",
    "_ms": "ms",
    "_s": "s",
    "_kib": "KiB",
    "_mib": "MiB",
    "_bytes": "bytes",
}
MOST_LISTED = 50  # names that a line lists where it can say which one was meant


@dataclass(frozen=True)
class Rule:
    """What a value may be: a number from `low` to `high`, both allowed, or one of `names`.

    why: the reason, or the way out. unit: of the number, where the key's name does not end in it; `1` is a count.
    """

    low: float = 0
    high: float = 0
    names: tuple[Any, ...] = ()
    why: str = ""
    unit: str = ""

    def __str__(self) -> str:
        if self.names:
            return f"one of {', '.join(map(str, self.names))}"
        return f"from {_number(self.low)} to {_number(self.high)}"

    def keep(self, key: str, value: Any) -> None:
        """Raise ValueError, naming the key, if a value breaks the rule."""
        try:
            kept = value in self.names if self.names else self.low <= value <= self.high
        except TypeError:  # text, or a list, for a number
            kept = False
        if not kept:
            raise ValueError(self.broken(key, value))

    def broken(self, key: str, value: Any) -> str:
        """Return the line for a value that breaks the rule: the nearest name, where there is one that is meant."""
        near = difflib.get_close_matches(str(value), map(str, self.names), n=1)
        if near:
            rule = self if len(self.names) <= MOST_LISTED else f"one of {len(self.names)} names"
            return _line(key, f"must be {rule}", value, " ".join(filter(None, (f"did you mean {near[0]}?", self.why))))
        otherwise = "choose one of them" if self.names else "give such a number"
        return _line(key, f"must be {self}", value, self.why or otherwise)

    def unit_of(self, key: str) -> str:
        """Return the unit of a key's numbers; '' where it has none."""
        if self.names:
            return ""
        return self.unit or next((unit for ending, unit in UNITS.items() if key.endswith(ending)), "1")


def between(low: float, high: float, why: str = "", unit: str = "") -> Rule:
    """Return the rule of a number."""
    return Rule(low, high, (), why, unit)


def among(names: Iterable[Any], why: str = "") -> Rule:
    """Return the rule of a name."""
    return Rule(names=tuple(names), why=why)


SHARE = between(0, 1, "it is a share, or a chance")


class Field(NamedTuple):
    """What holds for a field: the rule of its value or values, the dataclass of what is inside; many: it is a dict."""

    rule: Rule | None
    inner: type[Any] | None
    many: bool


def ruled(rule: Rule) -> Any:
    """Declare a field of a dataclass that a rule holds for."""
    return dataclasses.field(metadata={"rule": rule})


@cache
def ruled_fields(cls: Any) -> Mapping[str, Field]:
    """Return what holds for each field of a dataclass, those first that are dataclasses.

    So what a value outside is computed from is refused by its own key.
    """
    hints = typing.get_type_hints(cls)
    found = {
        field.name: Field(
            field.metadata.get("rule"),
            next((each for each in (hint, *typing.get_args(hint)) if _is_dataclass(each)), None),
            typing.get_origin(hint) is dict,
        )
        for field in dataclasses.fields(cls)
        for hint in [hints[field.name]]
    }
    return dict(sorted(found.items(), key=lambda each: each[1].inner is None))


def keep_rules(cls: Any, values: Any, path: str, inside: bool = True) -> None:
    """Raise ValueError unless values keep the rules beside the fields of a dataclass, and of those inside of it.

    values: an instance, or a nested mapping. A null keeps every rule: whether one may stand there is the type's matter.
    """
    of = (values if isinstance(values, Mapping) else vars(values)).get
    for name, field in ruled_fields(cls).items():
        if (found := of(name)) is None or not (field.rule or (field.inner and inside)):
            continue
        for key, value in ((f"{name}.{each}", found[each]) for each in found) if field.many else ((name, found),):
            if value is None:
                continue
            if field.rule:
                field.rule.keep(path + key, value)
            elif field.inner:
                keep_rules(field.inner, value, f"{path}{key}.")


def _is_dataclass(hint: Any) -> bool:
    return isinstance(hint, type) and dataclasses.is_dataclass(hint)


def at_least(key: str, value: float, low: float, way_out: str = "") -> None:
    """Raise ValueError unless `value >= low`."""
    if not value >= low:
        raise ValueError(_line(key, f"must be at least {low}", value, way_out))


def at_most(key: str, value: float, high: float, way_out: str = "") -> None:
    """Raise ValueError unless `value <= high`."""
    if not value <= high:
        raise ValueError(_line(key, f"must be at most {high}", value, way_out))


def above(key: str, value: float, low: float, what: str, way_out: str = "") -> None:
    """Raise ValueError unless `value > low`, which is the value of `what`."""
    if not value > low:
        raise ValueError(_line(key, f"must be above {what}, {low:g}", value, way_out))


def within(key: str, value: float, low: float, high: float, way_out: str = "") -> None:
    """Raise ValueError unless `low <= value <= high`."""
    between(low, high, way_out).keep(key, value)


def one_of(key: str, value: Any, allowed: Iterable[Any], way_out: str = "") -> None:
    """Raise ValueError unless `value` is one of `allowed`."""
    among(allowed, way_out).keep(key, value)


def _number(value: float) -> str:
    return str(value) if isinstance(value, int) else re.sub(r"e\+?(-?)0*", r"e\1", f"{value:g}")


def _line(key: str, rule: str, value: Any, way_out: str) -> str:
    return f"{key} {rule} (got {value!r})" + (f"; {way_out}" if way_out else "")
