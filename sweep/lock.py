"""One driver per run folder."""

from __future__ import annotations

import fcntl
import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sweep.errors import InputError
from sweep.store import Store

LOCK = "lock"


@contextmanager
def held(store: Store) -> Iterator[None]:
    """Hold the run's lock; raise InputError if another driver has it. The lock dies with its holder."""
    path = Path(store.path) / LOCK
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            file.seek(0)
            raise InputError(f"out must not be in use by another driver (got {store.root}, held by {file.read().strip()}); "
                             "wait for it, or stop it") from error
        file.truncate(0)
        file.write(f"pid {os.getpid()} on {platform.node()}")
        file.flush()
        yield
