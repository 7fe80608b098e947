"""Machine code: what Python calls is compiled with all that it calls, and kept only where a folder is this code's own.

Numba sees that the file of a kept function changed, and never that a file did whose functions it calls. So a folder
that machine code is kept in is named by the content of all of `core`, as KEYED and a digest; whoever runs `core` makes
one and sets NUMBA_CACHE_DIR to it first (`sweep.engine.warm.keep_compiled`). In any other folder nothing is kept.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from numba import config, njit
from numba.core.caching import FunctionCache
from numba.extending import register_jitable

KEYED = "core-"

# Numba neither counts references nor allocates: arrays are Python's, for as long as what it calls runs. It would count
# them, atomically, whenever an array is taken out of a tuple, and compile a third longer.
UNCOUNTED = {"_nrt": False, "no_cfunc_wrapper": True}


class _Kept(FunctionCache):  # type: ignore[misc]
    """Loads what is kept without all that Numba sets up to compile, which takes it most of a second and 50 MB."""

    def load_overload(self, signature: Any, target: Any) -> Any:
        with self._guard_against_spurious_io_errors():
            return self._load_overload(signature, target)


def entry(function: Callable[..., Any]) -> Any:
    """Compile what Python calls; it returns numbers, never an array."""
    compiled = njit(**UNCOUNTED)(function)
    if str(config.CACHE_DIR).rstrip("/").rpartition("/")[2].startswith(KEYED):
        compiled._cache = _Kept(function)
    return compiled


# what that calls: part of its machine code, and in Python a function like others. It is put where it is called, for at
# a call an array is seven words, and most of these functions get many.
part = register_jitable(**UNCOUNTED, forceinline=True)
