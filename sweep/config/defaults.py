"""Points made of the project's own defaults in conf/, for a notebook or a test: no Hydra, no plan, no run."""

from __future__ import annotations

import functools
import typing
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path
from types import UnionType
from typing import Any

from omegaconf import OmegaConf

import conf
from core.params import Point

CONF = Path(conf.__path__[0])
GROUPS = ("kernel", "workload", "host")


def point(**changes: Any) -> Point:
    """The point of conf/config.yaml with `changes`: flat keys, or kernel, workload and host by name or as an object.

    Raises FileNotFoundError if conf/ has no such option, TypeError if a key does not exist and ValueError if a value
    breaks its key's rule.
    """
    values = _file("config")
    names = {key: value for entry in values["defaults"] if isinstance(entry, dict) for key, value in entry.items()}
    chosen: dict[str, Any] = {field.name: values.get(field.name) for field in fields(Point)}
    chosen |= {"replicate": 0} | changes
    hints = typing.get_type_hints(Point)
    for group in GROUPS:
        option = chosen[group] or names[group]
        chosen[group] = _build(hints[group], _option(group, option)) if isinstance(option, str) else option
    return Point(**chosen)


def _option(group: str, name: str) -> dict[str, Any]:
    """A file of a group with what it is based on."""
    own, merged = dict(_file(f"{group}/{name}")), dict[str, Any]()
    for base in own.pop("defaults", []):
        if base != "_self_":
            merged = _merged(merged, _option(group, base))
    return _merged(merged, own)


@functools.cache
def _file(name: str) -> dict[str, Any]:
    values: Any = OmegaConf.to_container(OmegaConf.load(CONF / f"{name}.yaml"))
    return dict(values)


def _merged(base: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    both = dict(base)
    for key, value in own.items():
        both[key] = _merged(both.get(key) or {}, value) if isinstance(value, dict) else value
    return both


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
