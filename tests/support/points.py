"""A point made of the project's own defaults, without Hydra."""

from dataclasses import fields, is_dataclass
from functools import cache
from types import UnionType
from typing import get_args, get_origin, get_type_hints

import yaml

from core.params import Point
from tests.support import CONF


def default_point(**changes):
    """The point of conf/config.yaml; `changes` replace flat keys, or a group by the name of its option or an object."""
    values = yaml.safe_load((CONF / "config.yaml").read_text())
    groups = {key: value for entry in values["defaults"] if isinstance(entry, dict) for key, value in entry.items()}
    chosen = {field.name: values.get(field.name) for field in fields(Point)} | {"replicate": 0} | changes
    for group in ("kernel", "workload", "host"):
        option = chosen[group] or groups[group]
        if isinstance(option, str):
            option = build(get_type_hints(Point)[group], option_of(group, option))
        chosen[group] = option
    return Point(**chosen)


@cache
def option_of(group, name):
    values = {}
    text = (CONF / group / f"{name}.yaml").read_text()
    own = yaml.safe_load(text)
    for base in own.pop("defaults", []):
        if base != "_self_":
            merge(values, option_of(group, base))
    return merge(values, own)


def merge(into, values):
    for key, value in values.items():
        into[key] = merge(dict(into.get(key) or {}), value) if isinstance(value, dict) else value
    return into


def build(kind, value):
    if get_origin(kind) is UnionType:
        kind = next(each for each in get_args(kind) if each is not type(None))
    if value is None or not (is_dataclass(kind) or get_origin(kind) is dict):
        return value
    if get_origin(kind) is dict:
        return {key: build(get_args(kind)[1], each) for key, each in value.items()}
    hints = get_type_hints(kind)
    return kind(**{key: build(hints[key], each) for key, each in value.items()})
