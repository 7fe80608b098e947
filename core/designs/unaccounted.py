"""Kernel memory accounting off: the floor that every other design is read against.

`cgroup.memory=nokmem`: memcg_kmem_enabled() stays false, so every slab comes from a root cache and no slab page is
charged (mm/memcontrol.c, Linux 5.2). Dying memcgs are then pinned by page cache, anonymous memory and swap only.
"""

from core.designs.design import Design

unaccounted = Design(
    name="unaccounted",
    colour="#8c8c8c",
    essence="kernel memory accounting off: the floor",
    source="cgroup.memory=nokmem, mm/memcontrol.c, Linux 5.2",
    accounts=False,
    per_memcg_caches=False,
    slab_pins="nothing",
    charges="nothing",
)
