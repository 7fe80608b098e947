"""A window written out."""

import numpy as np

from core.bits import hash_of
from core.blocks import IN_PLACE
from core.events import ALLOC, EVENT, FREE


def in_order(window):
    """The events of a window in the order in which they happen, `[events]` of EVENT."""
    places = window.blocks[["drawn", "first", "end"]].tolist()
    packed = np.concatenate([window.events[drawn][first:end] for drawn, first, end in places])
    blocks = np.repeat(window.blocks, window.blocks["end"] - window.blocks["first"])
    allocates, frees, detail = packed["kind"] == ALLOC, packed["kind"] == FREE, packed["detail"]
    away = frees & (detail != IN_PLACE)
    events = np.zeros(packed.size, EVENT)
    for name in ("kind", "early", "object"):
        events[name] = packed[name]
    events["cache"][allocates] = detail[allocates]
    events["memcg"][~frees] = blocks["memcg"][~frees]
    events["cpu_hash"] = blocks["cpu_hash"]
    events["cpu_hash"][away] = hash_of(blocks["home_seed"][away], detail[away] - 1)
    return events
