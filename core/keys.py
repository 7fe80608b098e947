"""Who reads what of a point: each field says it once, and every grouping, lane, cache and identity is derived from it.

A part of the model is handed a point that holds only what the part may see (`seen_by`), and shares its work among
points that are equal in what it reads (`setting`). So a field read by a part that it does not name is an error which
says so, and never a lane that two settings share.
"""

from __future__ import annotations

import dataclasses
import json
import typing
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Any, TypeVar, dataclass_transform

from core.checks import Rule

T = TypeVar("T")

# part -> the parts whose fields it sees beside its own: it works on what is shared by points that are equal in those
PART_SEES: dict[str, tuple[str, ...]] = {
    "label": (),  # names and sources, for rows and messages: no number depends on them
    "realisation": (),  # which of the scenarios that are alike
    "own": (),  # what a null of the point stands for on this kernel
    "scenario": ("label",),  # the events; points of one call share it
    "machine": ("label", "scenario"),  # where the objects of the events lie
    "charge": ("label", "scenario", "machine"),  # what a design does with them, for all batches at once
    "batch": ("label", "scenario", "machine", "charge"),  # a lane of that
    "lifecycle": ("label", "scenario"),  # who pins what, and its bytes
    "weight": ("label", "lifecycle"),  # bytes of one of each: of a scenario, no more than what a memcg has
    "price": ("label", "scenario"),  # what counts cost, point by point
}


@dataclass(frozen=True)
class Own:
    """What a null of a field stands for: `rule` of the values at `paths`, seen from the record that has the field."""

    paths: tuple[str, ...]
    rule: Callable[..., Any]


@dataclass(frozen=True)
class Declared:
    """What a field says of itself.

    readers: the parts that read it. own: what null stands for; None where null is no value. neutral: the value at which
    the field might as well not exist, or a function that knows such values, so that a field new to the scenario leaves
    the events of those who do not use it as they were. named: tables show it by itself.
    """

    readers: frozenset[str]
    own: Own | None
    neutral: Any
    named: bool


_NONE = object()  # no value of the field is neutral


def key(
    *readers: str,
    default: Any = dataclasses.MISSING,
    own: str | Own | None = None,
    neutral: Any = _NONE,
    named: bool = False,
    rule: Rule | None = None,
) -> Any:
    """Declare a field of a `record`: which parts read it, and what it may be. One that is a record needs neither.

    own: what null stands for, the path of another value or a rule. A part never sees the null. rule: of the value, or
    of the values of a dict.
    """
    for part in readers:
        if part not in PART_SEES:
            raise TypeError(f"key() must name readers among {', '.join(PART_SEES)} (got {part!r}); correct it")
    if isinstance(own, str):
        own = Own((own,), lambda value: value)
    declared = Declared(frozenset(readers), own, neutral, named)
    return dataclasses.field(default=default, metadata={"declared": declared, "rule": rule})


@dataclass_transform(kw_only_default=True, frozen_default=True, field_specifiers=(key,))
def record(*readers: str) -> Callable[[type[T]], type[T]]:
    """Make a frozen dataclass, each field of which says who reads it; `readers` speaks for those that do not.

    Raises TypeError, naming the field, where nobody is said to read it.
    """

    def made(cls: type[T]) -> type[T]:
        whole = dataclass(frozen=True, kw_only=True)(cls)
        hints = typing.get_type_hints(whole)
        for field in dataclasses.fields(whole):  # type: ignore[arg-type]
            own: Declared = field.metadata.get("declared", Declared(frozenset(), None, _NONE, named=False))
            if not own.readers and readers:
                own = dataclasses.replace(own, readers=frozenset(readers))
                field.metadata = dict(field.metadata) | {"declared": own}  # type: ignore[assignment]
            if not (own.readers or _record_in(hints[field.name])):
                raise TypeError(
                    f"{cls.__name__}.{field.name} must say who reads it (got nobody); declare "
                    f'{field.name}: {field.type} = key("charge"), or which of {", ".join(PART_SEES)} do'
                )
        return whole

    return made


def fields_of(cls: type[Any]) -> dict[str, Declared]:
    """Return what each field of a record says of itself."""
    hashable: Any = cls
    return _fields_of(hashable)


@cache
def _fields_of(cls: Any) -> dict[str, Declared]:
    return {field.name: field.metadata["declared"] for field in dataclasses.fields(cls)}


@cache
def read_by(cls: Any, part: str) -> tuple[str, ...]:
    """Return the names of the fields that a part reads, or inside of which it reads something."""
    hints = typing.get_type_hints(cls)
    return tuple(
        name
        for name, own in fields_of(cls).items()
        if part in own.readers or ((inner := _record_in(hints[name])) and read_by(inner, part))
    )


def value_of(whole: Any, path: str) -> Any:
    """Return the value at a path inside of a record, and for a null what it stands for."""
    name, _, rest = path.partition(".")
    value = getattr(whole, name)
    if value is None and fields_of(type(whole))[name].own:
        value = own_of(whole, name)
    return value_of(value, rest) if rest else value


def own_of(whole: Any, name: str) -> Any:
    """Return what a null of a field stands for."""
    own = fields_of(type(whole))[name].own
    assert own is not None
    return own.rule(*(value_of(whole, each) for each in own.paths))


def resolved(whole: T) -> T:
    """Return a record with what its nulls stand for in their place."""
    cls: Any = type(whole)
    own = {name: own_of(whole, name) for name in _nullable(cls) if getattr(whole, name) is None}
    if not own:
        return whole
    filled: T = object.__new__(cls)
    vars(filled).update(vars(whole) | own)
    return filled


@cache
def _nullable(cls: Any) -> tuple[str, ...]:
    return tuple(name for name, own in fields_of(cls).items() if own.own)


def setting(whole: Any, part: str) -> tuple[Hashable, ...]:
    """Return all that a part reads of a record: to this part, records that are equal in it are one."""
    cls: Any = type(whole)
    values = (value_of(whole, name) for name in read_by(cls, part))
    return tuple(_text(_Itself(value), part) if _is_record(value) else value for value in values)


def seen_by(whole: T, part: str) -> T:
    """Return a record with what a part may see, which raises AttributeError, naming the field, for anything else."""
    cls: Any = type(whole)
    seen: T = object.__new__(_narrowed(cls, part))
    readable, others = _seen_fields(cls, part)
    vars(seen).update({name: value_of(whole, name) for name in readable})
    for name in others:
        if _is_record(value := getattr(whole, name)):
            vars(seen)[name] = _seen_inside(_Itself(value), part)
    return seen


@cache
def _seen_fields(cls: Any, part: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the fields that a part sees, and those of which it may see something inside."""
    may = {part, *PART_SEES[part]}
    readable = tuple(name for name, own in fields_of(cls).items() if own.readers & may)
    return readable, tuple(name for name in fields_of(cls) if name not in readable)


def identity(whole: Any) -> str:
    """Return all of a record as text: equal for two that are equal, whatever made them, and for no others."""
    return _text(_Itself(whole), None)


def canonical(whole: Any, part: str | None) -> str:
    """Return what a part reads of a record (None: all of it) as JSON, keys sorted, neutral values left out."""
    cls: Any = type(whole)
    names = fields_of(cls) if part is None else read_by(cls, part)
    shown = {}
    for name in sorted(names):
        value, own = value_of(whole, name), fields_of(cls)[name]
        if not (own.neutral(value) if callable(own.neutral) else value == own.neutral):
            inside = None if part in own.readers else part
            shown[name] = _text(_Itself(value), inside) if _is_record(value) else _json(value)
    return "{" + ",".join(f'"{name}":{text}' for name, text in shown.items()) + "}"


class _Itself:
    """A cache's key for what has no hash: equal to itself only, and kept alive, so that its id is not used again."""

    def __init__(self, value: Any) -> None:
        self.value = value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Itself) and other.value is self.value

    def __hash__(self) -> int:
        return id(self.value)


@lru_cache(maxsize=1024)
def _text(whole: _Itself, part: str | None) -> str:
    # thousands of points share one workload, and writing it out costs more than simulating a light point
    return canonical(whole.value, part)


@lru_cache(maxsize=1024)
def _seen_inside(whole: _Itself, part: str) -> Any:
    return seen_by(whole.value, part)


def _json(value: Any) -> str:
    if isinstance(value, Mapping):
        return "{" + ",".join(f"{json.dumps(name)}:{_json(value[name])}" for name in sorted(value)) + "}"
    if _is_record(value):
        return canonical(value, None)
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


@cache
def _narrowed(cls: type[Any], part: str) -> type[Any]:
    """Return a class whose instances lack what `part` may not see."""

    def missing(_: Any, name: str) -> Any:
        if name in fields_of(cls):
            raise AttributeError(
                f"{cls.__name__}.{name} must name {part!r}, which reads it (got "
                f"{', '.join(sorted(fields_of(cls)[name].readers))}); declare key(..., {part!r}) there"
            )
        raise AttributeError(f"{cls.__name__} has no {name}")

    return type(cls.__name__, (cls,), {"__getattr__": missing})


def _is_record(value: Any) -> bool:
    cls: Any = type(value)
    return is_record(cls)


@cache
def is_record(cls: Any) -> bool:
    """Whether each field of a class says who reads it."""
    return dataclasses.is_dataclass(cls) and all("declared" in field.metadata for field in dataclasses.fields(cls))


@cache
def _record_in(hint: Any) -> Any:
    """Return the record that a type is, or may be."""
    found = [each for each in (hint, *typing.get_args(hint)) if isinstance(each, type) and is_record(each)]
    return found[0] if found and typing.get_origin(hint) is not dict else None
