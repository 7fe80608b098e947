"""-m as users of Hydra write it: `-m cpus=1,2,4 batch=32,64` is one plan with two axes, no job a process."""

from __future__ import annotations

from collections.abc import Sequence

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import ChoiceSweep

from sweep.errors import InputError

FLAGS = ("-m", "--multirun")
ONE_EACH = ("experiment", "cluster", "hydra/")  # groups that a run has one option of


def as_axes(arguments: Sequence[str]) -> list[str]:
    """Return a command line without -m, each of its sweeps an axis; one without -m as it is."""
    if not any(flag in arguments for flag in FLAGS):
        return list(arguments)
    parser = OverridesParser.create()
    return [_axis_of(argument, parser) for argument in arguments if argument not in FLAGS]


def _axis_of(argument: str, parser: OverridesParser) -> str:
    if argument.startswith("-") or "=" not in argument:
        return argument
    override = parser.parse_override(argument)
    if not override.is_sweep_override():
        return argument
    key = override.key_or_group
    if key.startswith(ONE_EACH):
        raise InputError(f"{key} must be one option (got {argument!r}); run the command once for each")
    value = override.value()
    if isinstance(value, ChoiceSweep) and value.simple_form:  # as it is written: Hydra would make 5.1 of kernel=5.10
        return f"axes.{key}=[{argument.partition('=')[2]}]"
    return f"axes.{key}=[{','.join(override.sweep_string_iterator())}]"
