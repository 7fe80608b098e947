"""Linux 7.1 and later: an obj_cgroup for each node of a memcg, and byte stocks of several slots.

Commit 01b9da291c49 (7.1) gave a memcg one obj_cgroup per node, so that folios can be reparented under a node's lock. A
byte stock of one slot then thrashed where threads of a memcg run on several nodes (stress-ng.switch -67.7 %,
202605121641.b6a60cb0-lkp@intel.com). 7.1 looks the stock up by memcg again (d0211878ce06); 7.2 has NR_OBJ_STOCK = 5
slots instead (20260526033931.1760588-1). Full stocks, of bytes and of pages, give up their slots in turn (`drain_idx`).
Statistics gather for one slot at a time, in 16 bits. An object is charged to the obj_cgroup of the node that its task
runs on. `objcg_as_of` chooses between 7.1 and 7.2.

Left out: a later tree's consume_stock() gives up a slot of pages that it empties.
"""

from core.designs.design import Design
from core.designs.objcg import AS_OF

_V7_2 = AS_OF["7.2"]._replace(byte_slots=5, per_node=True)

objcg_per_node = Design(
    name="objcg_per_node",
    colour="#0072b2",
    essence="objcg per node; several slots of pages and of bytes, given up in turn",
    source="01b9da291c49, NR_OBJ_STOCK, drain_idx, Linux 7.1 and 7.2",
    per_memcg_caches=False,
    slab_pins="nothing",
    charges="bytes",
    reparents="objcgs",
    stock_slots=7,
    stock_victim="in_turn",
    objcg_per_node=True,
    objcg_version=lambda as_of: AS_OF["7.1"] if as_of == "7.1" else _V7_2,
)
