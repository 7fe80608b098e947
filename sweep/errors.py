"""What a user is told: one line, and an exit status a batch system understands."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable

from core.checks import among
from sweep.folder import InputError as InputError  # noqa: PLC0414 (analysis, too, says it, and knows the folder only)

RESOLVED = (
    "InputError raised while resolving interpolation: "  # OmegaConf keeps of what a resolver raises the text only
)
FAILED = 1
BAD_INPUT = 2
INTERRUPTED = 130  # 128 + SIGINT, as a shell reports it
TERMINATED = 143  # 128 + SIGTERM
HUNG_UP = 129  # 128 + SIGHUP
_remarks: list[str] = []


class ClusterError(RuntimeError):
    """What tasks run on did not start, or is gone; the message is one line."""


def choose_from(key: str, value: str, valid: Iterable[str]) -> str:
    """Return the line for a name that does not exist: the nearest one that does, or all of them."""
    names = sorted(valid)
    near = difflib.get_close_matches(value, names, n=1)
    names = [name for name in names if name.count(".") == value.count(".")]
    way_out = f"did you mean {near[0]}?" if near else f"choose from {', '.join(names)}" if names else "remove it"
    return f"{key} does not exist (got {value!r}); {way_out}"


def not_one_of(key: str, value: object, valid: Iterable[str]) -> str:
    """Return the line for a value that is none of those allowed."""
    return among(sorted(valid)).broken(key, value)


def one_line(error: BaseException, keys: Iterable[str] = ()) -> str:
    """Return what a user can do about an error of ours, of Hydra or of OmegaConf, in one line.

    keys: all that a config may have.
    """
    from hydra.errors import MissingConfigException, OverrideParseException  # workers need neither
    from omegaconf import DictConfig
    from omegaconf.errors import ConfigAttributeError, ConfigKeyError, OmegaConfBaseException

    if isinstance(error, InputError) or RESOLVED in str(error):
        return first_line(error).rpartition(RESOLVED)[2]
    if isinstance(error, OverrideParseException):
        return (
            f"override must be KEY=VALUE in Hydra's grammar (got {error.override!r}: {first_line(error)}); "
            "quote lists and strings for the shell, such as 'axes.cpus=[8,64]'"
        )
    if isinstance(error, MissingConfigException) and error.missing_cfg_file and error.options:
        group, _, name = error.missing_cfg_file.rpartition("/")
        return not_one_of(group, name, (option for option in error.options if option[0] not in "_."))
    for cause in _causes(error):
        if isinstance(cause, ConfigKeyError | ConfigAttributeError) and cause.full_key:
            parent = cause.full_key.rpartition(".")[0]
            entries = list(cause.parent_node or ()) if isinstance(cause.parent_node, DictConfig) else []
            return choose_from(
                cause.full_key, cause.full_key, [f"{parent}.{name}" for name in entries if parent] or keys
            )
        if isinstance(cause, OmegaConfBaseException) and cause.full_key:
            return (
                f"{added} must be in a file to be new (got {added!r}); --cfg job shows the entries that there are, and "
                "docs/workloads.md how to write a file"
                if (added := _added(error, str(cause.full_key)))
                else f"{cause.full_key} must keep its type and be set ({first_line(cause)}); --cfg job shows what it is"
            )
    line = "; ".join(line.strip() for line in str(error).splitlines() if line.strip()) or type(error).__name__
    if "item value in defaults" in line:  # Hydra names neither file nor value
        line = 'defaults must name options as text (got a number); write versions in quotes, such as "5.10"'
    return line if ";" in line else f"{line}; --cfg job shows every key and its value"


def _added(error: BaseException, entry: str) -> str | None:
    """Return the config path of an entry that Hydra could not add to a dictionary; None if something else is wrong."""
    path = re.search(r"merging override \+*([^=\s]+)=", str(error))
    names = path[1].split(".") if path else []
    if entry not in names or "is not a subclass of" not in str(error.__cause__):
        return None
    return ".".join(names[: names.index(entry) + 1])


def _causes(error: BaseException | None) -> Iterable[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__


def first_line(error: BaseException) -> str:
    """Return the first line of an error that says something, without a full stop; its class, if none does."""
    of_omegaconf = type(error).__module__ == "omegaconf.errors"  # its text goes on about keys and types
    text = error.msg if of_omegaconf and error.msg else str(error)  # type: ignore[attr-defined]
    return next((line.strip().rstrip(".") for line in text.splitlines() if line.strip()), type(error).__name__)


def remark(line: str) -> None:
    """Note something about the input that is worth saying; where the input is refused, the refusal stands alone."""
    if line not in _remarks:
        _remarks.append(line)


def remarks() -> list[str]:
    """Return what was noted since it was last asked for."""
    noted, _remarks[:] = _remarks[:], []
    return noted
