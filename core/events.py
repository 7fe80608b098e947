"""What happens on a host, one record each: objects of memcgs allocated and freed, memcgs online and offline.

Every design replays the same events. A scheduling quantum carries a 32-bit hash instead of a CPU, so that
`cpu = hash * cpus >> 32` spreads the same quanta over any number of CPUs.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

ALLOC, FREE, ONLINE, OFFLINE = range(4)
START, SAMPLE = 5, 6  # what happened before is not counted; how full stocks are is looked up
# 4 is an uncharge beside the stock: `core.charge.stock`
ROOT = 0  # the root memcg: its objects are never charged


def record_dtype(**fields: str) -> np.dtype[np.void]:
    """Return the dtype of records whose fields are attributes, under Numba and, to find a fault, without it."""
    return np.dtype((np.record, list(fields.items())))


EVENT = record_dtype(
    kind="u1",
    early="u1",  # ALLOC: the memcg's own kmem_cache does not exist yet
    cache="u2",  # ALLOC: index into the caches
    memcg="i4",  # ALLOC, ONLINE, OFFLINE: 1, 2, ...; ROOT is online from the start
    object="i4",  # ALLOC, FREE: 0, 1, ...; the number of one that was freed may be another's later
    cpu_hash="u4",
)
"""One event. FREE needs only `object` and `cpu_hash`: who is charged is found from the object, as in the kernel.

A window, which has millions, keeps them packed: `core.blocks`.
"""


def first_counted(kinds: NDArray[np.integer]) -> int:
    """Return the index of the first event, of objects or of pages, that counts: after START, or 0."""
    started = np.flatnonzero(kinds == START)
    return int(started[0]) + 1 if started.size else 0


def cpu_hash(cpu: NDArray[np.integer], cpus: int) -> NDArray[np.uint32]:
    """Return the least hash that falls on each given CPU, for programs that are pinned."""
    return (-(-(cpu.astype(np.int64) << 32) // cpus)).astype(np.uint32)
