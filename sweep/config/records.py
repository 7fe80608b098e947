"""From the values of a config to the frozen dataclasses of `core`, whose own rules then run. Knows no Hydra."""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Mapping
from typing import Any, TypeVar

from core.host import Host
from core.profile import KernelProfile
from core.workload import Workload
from sweep.errors import InputError, choose_from

GROUPS: dict[str, type[Any]] = {"kernel": KernelProfile, "workload": Workload, "host": Host}  # fields of a point
T = TypeVar("T")


def build(cls: type[T], values: Mapping[str, Any], key: str = "") -> T:
    """Return `cls` made of a nested mapping; `key` is where in the config the mapping stands."""
    hints = typing.get_type_hints(cls)
    unknown = set(values) - set(hints)
    if unknown:
        raise InputError(choose_from(f"{key}{min(unknown)}", min(unknown), hints))
    for name in set(hints) - set(values) - optional(cls):
        raise InputError(f"{key}{name} must be set (got nothing); give {key}{name}=VALUE")
    return cls(**{name: _value(hints[name], value, f"{key}{name}") for name, value in values.items()})


def optional(cls: type[Any]) -> set[str]:
    """Return the fields that have a default of their own: entries of a user's dict that may be left out."""
    return {field.name for field in dataclasses.fields(cls) if field.default is not dataclasses.MISSING}


def _value(hint: Any, value: Any, key: str) -> Any:
    inner = dataclass_in(hint)
    if value is None:
        return None
    if typing.get_origin(hint) is dict:
        return {name: _value(typing.get_args(hint)[1], item, f"{key}.{name}") for name, item in value.items()}
    if inner is not None:
        return build(inner, value, f"{key}.")
    if isinstance(value, Mapping | list):  # OmegaConf lets them stand for a number in a dict
        raise InputError(f"{key} must be a number (got {value!r}); --cfg job shows what the others are")
    return value


def dataclass_in(hint: Any) -> type[Any] | None:
    """Return the dataclass that a type is, may be, or is a dict or list of."""
    found = [t for t in (hint, *typing.get_args(hint)) if isinstance(t, type) and dataclasses.is_dataclass(t)]
    return found[0] if found else None
