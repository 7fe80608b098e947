"""The typed shape of `conf/`, derived from the frozen dataclasses of `core`, and its rules.

A frozen dataclass makes a read-only config, which nothing can be composed into; so each gets an un-frozen twin with
the same fields; `sweep.config.records` builds the originals of a composed config.
"""

from __future__ import annotations

import dataclasses
import functools
import types
import typing
from collections.abc import Iterator
from typing import Any

from hydra.core.config_store import ConfigStore
from omegaconf import MISSING, DictConfig, OmegaConf

from core.checks import among, between, keep_rules, ruled
from core.keys import fields_of
from core.params import Point
from sweep.config.records import dataclass_in, optional
from sweep.errors import InputError

VM_MEASURES = ("churn", "counts")


@dataclasses.dataclass(kw_only=True)
class Cluster:
    """Where tasks run. Values and their reasons are in `conf/cluster/`."""

    kind: str = ruled(among(("inline", "local", "ray")))  # set by cluster=inline, local or ray
    address: str | None = MISSING
    cores: int | None = ruled(between(1, 1_000_000, "null is for all there are"))
    task_s: float = ruled(between(0.01, 86400, "a task costs some ms, and a day of work is lost with its worker"))
    in_flight: int | None = ruled(between(1, 1000, "results of so many tasks wait in memory"))
    retries: int = ruled(between(0, 1000))
    max_failed: int = ruled(between(0, 1_000_000_000))


@dataclasses.dataclass(kw_only=True)
class Refine:
    """How a sweep grows by what it sees. Values and their reasons are in `conf/experiment/crossover.yaml`."""

    axes: list[str] = MISSING
    metric: str = MISSING
    interval: float = ruled(between(0, 1, "it is a share of the mean"))
    apart: float = ruled(between(1, 1e9, "it is a ratio of neighbours"))
    rounds: int = ruled(between(1, 1000))
    budget: int = ruled(between(1, 1_000_000_000, unit="points"))
    replicates: int = ruled(between(2, 1_000_000, "one alone has no interval"))


@dataclasses.dataclass(kw_only=True)
class Vm:
    """Virtual machines that real kernels run in. Values and their reasons are in `conf/vm/`."""

    kernel: str = MISSING
    mirror: str | None = MISSING
    profile: str | None = MISSING
    measure: str = ruled(among(VM_MEASURES))
    accel: str = ruled(among(("auto", "kvm", "tcg")))
    icount: bool = MISSING
    memory_mib: int = ruled(between(256, 1 << 20, "a guest boots in 256 MiB, and 2^20 are a TiB"))
    time_limit_s: float = ruled(between(1, 86400, "a boot takes seconds"))


@dataclasses.dataclass(kw_only=True)
class RunKeys:
    """The keys of a run that are no parameter of a point. Values and their reasons are in `conf/config.yaml`."""

    job: str = ruled(among(("sweep", "validate", "truth", "calibrate", "host", "sensitivity")))
    out: str = MISSING
    plan: str = ruled(among(("run", "only")))
    replicates: int = ruled(between(1, 1_000_000, "1 runs every scenario once"))
    axes: dict[str, Any] = MISSING
    zip: list[list[str]] = MISSING
    where: str | None = MISSING
    sample: dict[str, Any] = MISSING
    refine: Refine | None = MISSING
    reference: str | None = MISSING
    observed: str | None = MISSING
    upgrades: list[str] = MISSING
    backend: str = ruled(among(("model", "vm", "live")))
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


def keep_every_rule(config: DictConfig) -> None:
    """Raise InputError if a value breaks the rule beside its field, whatever the job reads."""
    given = _given(OmegaConf.to_container(config))
    try:
        for values in (given, OmegaConf.to_container(config, resolve=True)):
            for cls in (RunKeys, Point):
                keep_rules(cls, values, "")
    except ValueError as error:
        raise InputError(str(error)) from error


def _given(tree: Any) -> Any:
    """Return a config without what is computed from other keys, which are to be refused by their own names."""
    if isinstance(tree, dict):
        return {name: _given(node) for name, node in tree.items()}
    return None if isinstance(tree, str) and "${" in tree else tree


def may_be_null(cls: type[Any]) -> set[str]:
    """Return the fields whose null stands for something, which their type does not say."""
    return {name for name, own in fields_of(cls).items() if own.own}


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
        inner = dataclass_in(hint)
        if inner is not None and typing.get_origin(hint) not in (dict, list):
            yield from _leaves(inner, f"{prefix}{name}.")


@functools.cache
def _twin(cls: type[Any]) -> type[Any]:
    given, nulls = {field.name: field.default for field in dataclasses.fields(cls)}, may_be_null(cls)
    fields = [
        (
            name,
            _twin_hint(hint | None if name in nulls else hint),
            dataclasses.field(default=given[name] if name in optional(cls) else MISSING),
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
