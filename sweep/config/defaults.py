"""Points made of the project's own defaults in conf/, for a notebook or a test: no Hydra, no plan, no run."""

from __future__ import annotations

import typing
from dataclasses import fields, is_dataclass
from types import UnionType
from typing import Any

from core.params import Point
from sweep.config.options import file_values, option
from sweep.config.records import GROUPS


def point(**changes: Any) -> Point:
    """The point of conf/config.yaml with `changes`: flat keys, or kernel, workload and host by name or as an object.

    Raises FileNotFoundError if conf/ has no such option, TypeError if a key does not exist and ValueError if a value
    breaks its key's rule.
    """
    values = file_values("config")
    names = {key: value for entry in values["defaults"] if isinstance(entry, dict) for key, value in entry.items()}
    chosen: dict[str, Any] = {field.name: values.get(field.name) for field in fields(Point)}
    chosen |= {"replicate": 0} | changes
    hints = typing.get_type_hints(Point)
    for group in GROUPS:
        given = chosen[group] or names[group]
        chosen[group] = _build(hints[group], option(group, given)) if isinstance(given, str) else given
    return Point(**chosen)


def _build(kind: Any, value: Any) -> Any:
    """A value as its type wants it: dataclasses of mappings, all the way down."""
    if typing.get_origin(kind) is UnionType:
        kind = next(each for each in typing.get_args(kind) if each is not type(None))
    if value is None or not (is_dataclass(kind) or typing.get_origin(kind) is dict):
        return value
    if typing.get_origin(kind) is dict:
        return {key: _build(typing.get_args(kind)[1], each) for key, each in value.items()}
    hints = typing.get_type_hints(kind)
    return typing.cast(Any, kind)(**{key: _build(hints[key], each) for key, each in value.items()})
