"""Machine code: what Python calls is compiled with all that it calls, and kept only where a folder is this code's own.

Numba sees that the file of a kept function changed, and never that a file did whose functions it calls. So a folder
that machine code is kept in is named by the content of all of `core`, as KEYED and a digest; whoever runs `core` makes
one and sets NUMBA_CACHE_DIR to it first (`sweep.engine.warm.keep_compiled`). In any other folder nothing is kept.
"""

from numba import config, njit

KEYED = "core-"

# what Python calls; what that calls is plain njit, and part of its machine code
entry = njit(cache=str(config.CACHE_DIR).rstrip("/").rpartition("/")[2].startswith(KEYED))
