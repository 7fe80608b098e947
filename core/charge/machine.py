"""A machine that replays a scenario's objects: on slabs, or as bytes, at most once per way of holding them."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, partial

import numpy as np
from numpy.typing import NDArray

from core.blocks import Window
from core.charge.load import still_key
from core.charge.objcg import ObjcgTrace, run_objcg
from core.charge.window import still_window
from core.designs import Design, ObjcgVersion
from core.kept import Keyed, some
from core.keys import setting
from core.params import Point
from core.slabs.allocator import ARRAYS, OWN, REUSED, SHARED, run_slabs
from core.slabs.geometry import RECLAIMABLE, slab_allocator_geometry, slab_geometry
from core.slabs.heap import CACHE
from core.slabs.slab import array_limits
from core.slabs.slub import PARTIAL_OBJECTS, PARTIAL_OFF, PARTIAL_SLABS
from core.slabs.trace import SlabTrace, joined

PARTIAL_RULES = {"off": PARTIAL_OFF, "objects": PARTIAL_OBJECTS, "slabs": PARTIAL_SLABS, "arrays": ARRAYS}


class Machine:
    """One scenario on one kernel with so many CPUs: replays its objects at most once per way of holding them.

    `slabs(slabs_of)` and `bytes(version)` are the replays; `caches` is `[caches]` of `core.slabs.heap.CACHE`,
    `object_bytes` and `reclaimable` go with it.
    """

    def __init__(
        self,
        window: Window,
        caches: NDArray[np.void],
        *,
        object_bytes: NDArray[np.int64],
        reclaimable: NDArray[np.bool_],
        partial_rule: str,
        page_bytes: int,
        cpus: int,
        nodes: int,
        still: Keyed[Callable[[], Window]] | None = None,
    ) -> None:
        """`still`: draws the window in which nobody comes or goes, where this one has some of what happens there."""
        self.reclaimable = reclaimable
        self.slab_pages = caches["pages"].astype(np.int64)
        rule = PARTIAL_RULES[partial_rule]
        replay = partial(run_slabs, caches=caches, cpus=cpus, nodes=nodes, rule=rule)

        def slabs(slabs_of: int) -> SlabTrace:
            if still is None or slabs_of == SHARED or not window.undisturbed.any():
                return replay(window, slabs_of=slabs_of)
            others = _still(Keyed(still.key, lambda: replay(still.of(), slabs_of=OWN)))
            return joined(replay(window.own(), slabs_of=slabs_of), others, window)

        self.slabs: Callable[[int], SlabTrace] = cache(slabs)
        self.bytes: Callable[[ObjcgVersion], ObjcgTrace] = cache(
            lambda version: run_objcg(
                window, object_bytes, reclaimable, version, cpus=cpus, nodes=nodes, page_bytes=page_bytes
            )
        )


@some(16)  # of some hundredths of their windows' memory
def _still(replays: Keyed[Callable[[], SlabTrace]]) -> SlabTrace:
    return replays.of()


def machine_of(point: Point, window: Window) -> Machine:
    """Return the machine of a point, with the caches that its workload charges."""
    names = list(point.workload.charge.caches)
    object_bytes = [point.kernel.caches[name] for name in names]
    possible_cpus, page_bytes = point.nr_cpu_ids, point.kernel.page_bytes
    if point.allocator == "slab":
        limits = [array_limits(size, page_bytes, possible_cpus) for size in object_bytes]
        slabs = [slab_allocator_geometry(point.kernel, name) for name in names]
        geometry = [(g.objects, g.pages, shared, own) for g, (own, shared) in zip(slabs, limits, strict=True)]
    else:
        slabs = [slab_geometry(point.kernel, name, possible_cpus, point.cpus) for name in names]
        geometry = [(g.objects, g.pages, g.min_partial, g.cpu_partial_objects or g.cpu_partial_slabs) for g in slabs]
    return Machine(
        window,
        np.array(geometry, CACHE),
        object_bytes=np.array(object_bytes, np.int64),
        reclaimable=np.array([name in RECLAIMABLE for name in names]),
        partial_rule="arrays" if point.allocator == "slab" else point.kernel.cpu_partial_rule,
        page_bytes=page_bytes,
        cpus=point.cpus,
        nodes=point.nodes,
        still=Keyed((still_key(point), setting(point, "machine")), partial(still_window, point)),
    )


def slabs_of(design: Design) -> int:
    """Return whose slabs a design's objects are on, as `core.slabs.allocator` has it."""
    if not design.per_memcg_caches:
        return SHARED
    return REUSED if design.reuses_dead else OWN
