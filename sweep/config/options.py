"""The options of conf/: one by itself with what it is based on, or the whole config as the command line has it."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any

import hydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import OmegaConf

import conf

CONF = Path(conf.__path__[0])


def file_values(name: str) -> dict[str, Any]:
    """Return what one file of conf/ says by itself. Raises FileNotFoundError if there is none of that name."""
    return deepcopy(_file(name))


def option(group: str, name: str) -> dict[str, Any]:
    """Return an option of a group with what it is based on, in the order of its defaults list, which is plain names.

    No override is in force and nothing is interpolated. Raises FileNotFoundError if conf/ has no such option.
    """
    own = file_values(f"{group}/{name}")
    merged: dict[str, Any] = {}
    for base in own.pop("defaults", ["_self_"]):
        merged = _merged(merged, own if base == "_self_" else option(group, base))
    return merged


def composed(overrides: Iterable[str] = ()) -> dict[str, Any]:
    """Return the config of the defaults and some overrides, whatever the command line says."""
    values: Any = OmegaConf.to_container(hydra.compose("config", list(overrides)), resolve=True)
    return dict(values)


def composed_with(group: str, name: str) -> dict[str, Any]:
    """Return what the config would be with `group=name`, with the command line's other overrides in force."""
    rest = [each for each in HydraConfig.get().overrides.task if each.partition("=")[0] != group]
    return composed([*rest, f"{group}='{name}'"])


@functools.cache
def _file(name: str) -> dict[str, Any]:
    values: Any = OmegaConf.to_container(OmegaConf.load(CONF / f"{name}.yaml"))
    return dict(values)


def _merged(base: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    both = dict(base)
    for key, value in own.items():
        both[key] = _merged(both.get(key) or {}, value) if isinstance(value, dict) else value
    return both
