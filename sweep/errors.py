"""What a user is told: one line, and an exit status a batch system understands."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from omegaconf.errors import OmegaConfBaseException

BAD_INPUT = 2
INTERRUPTED = 130  # 128 + SIGINT, as a shell reports it
TERMINATED = 143  # 128 + SIGTERM


class InputError(ValueError):
    """Something the user wrote cannot be used; the message is one line with key, rule, value and way out."""


def choose_from(key: str, value: str, valid: Iterable[str]) -> str:
    """Return the line for a name that does not exist: the nearest one that does, or all of them."""
    names = sorted(valid)
    near = difflib.get_close_matches(value, names, n=1)
    way_out = f"did you mean {near[0]}?" if near else f"choose from {', '.join(names) or 'nothing: there are none'}"
    return f"{key} does not exist (got {value!r}); {way_out}"


def one_line(error: BaseException) -> str:
    """Return the first line that says something, of an error and of what caused it."""
    lines = [_first_line(cause) for cause in _causes(error)]
    # Hydra wraps OmegaConf's error, and each half of the truth is in one of them
    return "; ".join(dict.fromkeys(line for line in lines if line)) or type(error).__name__


def _causes(error: BaseException | None) -> Iterable[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__


def _first_line(error: BaseException) -> str:
    if isinstance(error, OmegaConfBaseException) and error.full_key and error.msg:
        return f"{error.full_key}: {error.msg.splitlines()[0]}"
    return next((line.strip() for line in str(error).splitlines() if line.strip()), "")
