"""Linux 6.16 and later: obj_cgroups as before, and a per-CPU stock that caches several memcgs.

memcg_stock_pcp has NR_MEMCG_STOCK slots in one cache line; consume_stock() scans them, refill_stock() takes an empty
slot or drains a random one (mm/memcontrol.c, Linux 6.19; message 20250416180229.2902751-1-shakeel.butt@linux.dev).
"""

from core.designs.design import Design

objcg_multi_stock = Design(
    name="objcg_multi_stock",
    essence="objcg with a stock that caches seven memcgs",
    source="NR_MEMCG_STOCK, consume_stock(), refill_stock(), Linux 6.19",
    per_memcg_caches=False,
    slab_pins="nothing",
    charges="bytes",
    reparents="objcgs",
    stock_slots=7,
    uncharge_batched=True,
)
