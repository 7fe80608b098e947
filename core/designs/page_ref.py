"""Linux up to 5.2: every charged slab page holds a reference to its memcg.

memcg_charge_slab() -> __memcg_kmem_charge_memcg() -> try_charge() takes css references by css_get_many(), one per page
of a refill; __memcg_kmem_uncharge() walks the counters for every slab freed and drops the pages' references by
css_put_many(), one shared atomic once the css is killed (mm/slab.h and mm/memcontrol.c, Linux 5.2). A memcg with one
live object stays a dying memcg, and its kmem_caches with it.
"""

from core.designs.design import Design

page_ref = Design(
    name="page_ref",
    colour="#d55e00",
    essence="each charged slab page holds a memcg reference; per-memcg kmem_caches",
    source="__memcg_kmem_charge_memcg(), __memcg_kmem_uncharge(), Linux 4.19 to 5.2",
    per_memcg_caches=True,
    slab_pins="memcg",
    charges="pages",
    page_ref=True,
)
