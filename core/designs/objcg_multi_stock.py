"""Linux 6.16 to 7.0: obj_cgroups as before, and a per-CPU stock that caches several memcgs.

memcg_stock_pcp has NR_MEMCG_STOCK slots in one cache line; consume_stock() scans them, refill_stock() takes an empty
slot or drains a random one (in turn since c0cafe24d3f6, which 7.0.y has: `kernel.stock_victim`), and an uncharge of
more than the batch no longer passes through it (mm/memcontrol.c, Linux 6.19; message
20250416180229.2902751-1-shakeel.butt@linux.dev). A drained byte stock uncharges its whole pages at once, and a task
keeps a reference on its obj_cgroup, so an allocation takes only the object's own (6.7).
"""

from core.designs.design import Design
from core.designs.objcg import AS_OF

objcg_multi_stock = Design(
    name="objcg_multi_stock",
    colour="#3ea6e0",
    essence="objcg with a stock that caches seven memcgs",
    source="NR_MEMCG_STOCK, consume_stock(), refill_stock(), Linux 6.19",
    per_memcg_caches=False,
    slab_pins="nothing",
    charges="bytes",
    reparents="objcgs",
    stock_slots=7,
    objcg_version=lambda _as_of: AS_OF["6.16"],
)
