"""The typed shape of `conf/`, derived from the frozen dataclasses of `core`, and the way back into them.

A frozen dataclass makes a read-only config, which nothing can be composed into; so each gets an un-frozen twin with
the same fields, and a composed config is built back into the originals, whose own rules then run.
"""

from __future__ import annotations

import dataclasses
import functools
import types
import typing
from collections.abc import Iterator, Mapping
from typing import Any, TypeVar

from hydra.core.config_store import ConfigStore
from omegaconf import MISSING, OmegaConf

from core.keys import fields_of
from core.params import Point
from sweep.errors import InputError, choose_from

T = TypeVar("T")


@dataclasses.dataclass
class Cluster:
    """Where tasks run. Values and their reasons are in `conf/cluster/`."""

    kind: str = MISSING
    address: str | None = MISSING
    cores: int | None = MISSING
    task_s: float = MISSING
    in_flight: int = MISSING
    retries: int = MISSING
    max_failed: int = MISSING


@dataclasses.dataclass
class Refine:
    """How a sweep grows by what it sees. Values and their reasons are in `conf/experiment/crossover.yaml`."""

    axes: list[str] = MISSING
    metric: str = MISSING
    interval: float = MISSING
    apart: float = MISSING
    rounds: int = MISSING
    budget: int = MISSING
    replicates: int = MISSING


@dataclasses.dataclass
class Vm:
    """Virtual machines that real kernels run in. Values and their reasons are in `conf/vm/`."""

    kernel: str = MISSING
    mirror: str | None = MISSING
    profile: str | None = MISSING
    measure: str = MISSING
    accel: str = MISSING
    icount: bool = MISSING
    memory_mib: int = MISSING
    time_limit_s: float = MISSING


@dataclasses.dataclass
class RunKeys:
    """The keys of a run that are no parameter of a point. Values and their reasons are in `conf/config.yaml`."""

    job: str = MISSING
    out: str = MISSING
    plan: str = MISSING
    replicates: int = MISSING
    axes: dict[str, Any] = MISSING
    zip: list[list[str]] = MISSING
    where: str | None = MISSING
    sample: dict[str, Any] = MISSING
    refine: Refine | None = MISSING
    reference: str | None = MISSING
    observed: str | None = MISSING
    upgrades: list[str] = MISSING
    backend: str = MISSING
    vm: Vm = MISSING
    cluster: Cluster = MISSING


PLANNED = "replicate"  # a field of Point that no key sets: the plan counts it from 0 to `replicates`
FREE_KEYS = ("axes", "sample")  # keys whose own keys are the user's, and are checked by the planner
RUN_KEYS = tuple(field.name for field in dataclasses.fields(RunKeys))


def register() -> None:
    """Tell Hydra the type of every key, so that a misspelt key or a wrong type is an error."""
    hints = typing.get_type_hints(_twin(Point)) | typing.get_type_hints(RunKeys)
    fields = [(name, hint, dataclasses.field(default=MISSING)) for name, hint in hints.items() if name != PLANNED]
    node = OmegaConf.structured(dataclasses.make_dataclass("Config", fields))
    for free in FREE_KEYS:
        node[free] = {}
        OmegaConf.set_struct(node[free], False)  # Hydra asks for +axes.cpus=... otherwise
    ConfigStore.instance().store(name="schema", node=node)


def build(cls: type[T], values: Mapping[str, Any], key: str = "") -> T:
    """Return `cls` made of a nested mapping; `key` is where in the config the mapping stands."""
    hints = typing.get_type_hints(cls)
    unknown = set(values) - set(hints)
    if unknown:
        raise InputError(choose_from(f"{key}{min(unknown)}", min(unknown), hints))
    for name in set(hints) - set(values) - _optional(cls):
        raise InputError(f"{key}{name} must be set (got nothing); give {key}{name}=VALUE")
    return cls(**{name: _value(hints[name], value, f"{key}{name}") for name, value in values.items()})


def may_be_null(cls: type[Any]) -> set[str]:
    """Return the fields whose null stands for something, which their type does not say."""
    return {name for name, own in fields_of(cls).items() if own.own}


def _optional(cls: type[Any]) -> set[str]:
    """Return the fields that have a default of their own: entries of a user's dict that may be left out."""
    return {field.name for field in dataclasses.fields(cls) if field.default is not dataclasses.MISSING}


def every_key() -> list[str]:
    """Return every key that a config may have, groups included."""
    return [path for cls in (Point, RunKeys) for path, _ in _leaves(cls) if path != PLANNED]


@functools.cache
def text_keys() -> frozenset[str]:
    """Return every key whose value is text, or the name of an option: there, 5.10 is not the number 5.1."""
    return frozenset(
        path for cls in (Point, RunKeys) for path, hint in _leaves(cls) if hint in (str, str | None) or _is_group(hint)
    )


def _is_group(hint: Any) -> bool:
    return isinstance(hint, type) and dataclasses.is_dataclass(hint)


def _leaves(cls: type[Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, hint in typing.get_type_hints(cls).items():
        yield f"{prefix}{name}", hint
        inner = _dataclass_in(hint)
        if inner is not None and typing.get_origin(hint) not in (dict, list):
            yield from _leaves(inner, f"{prefix}{name}.")


def _value(hint: Any, value: Any, key: str) -> Any:
    inner = _dataclass_in(hint)
    if value is None:
        return None
    if typing.get_origin(hint) is dict:
        return {name: _value(typing.get_args(hint)[1], item, f"{key}.{name}") for name, item in value.items()}
    if inner is not None:
        return build(inner, value, f"{key}.")
    if isinstance(value, Mapping | list):  # OmegaConf lets them stand for a number in a dict
        raise InputError(f"{key} must be a number (got {value!r}); --cfg job shows what the others are")
    return value


def _dataclass_in(hint: Any) -> type[Any] | None:
    """Return the dataclass that a type is, may be, or is a dict or list of."""
    found = [t for t in (hint, *typing.get_args(hint)) if isinstance(t, type) and dataclasses.is_dataclass(t)]
    return found[0] if found else None


@functools.cache
def _twin(cls: type[Any]) -> type[Any]:
    given, nulls = {field.name: field.default for field in dataclasses.fields(cls)}, may_be_null(cls)
    fields = [
        (
            name,
            _twin_hint(hint | None if name in nulls else hint),
            dataclasses.field(default=given[name] if name in _optional(cls) else MISSING),
        )
        for name, hint in typing.get_type_hints(cls).items()
    ]
    return dataclasses.make_dataclass(cls.__name__, fields)


def _twin_hint(hint: Any) -> Any:
    if isinstance(hint, type) and dataclasses.is_dataclass(hint):
        return _twin(hint)
    origin, args = typing.get_origin(hint), tuple(_twin_hint(arg) for arg in typing.get_args(hint))
    if origin in (typing.Union, types.UnionType):
        return functools.reduce(lambda a, b: a | b, args)
    return origin[args] if origin else hint
