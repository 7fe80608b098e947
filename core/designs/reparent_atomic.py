"""The first version of the reparenting series, April 2019: an atomic reference on the kmem_cache per slab page.

memcg_cache_params gains `atomic_long_t refcnt`; memcg_charge_slab() does a get of all the slab's pages and
memcg_uncharge_slab() a put, one unconditional read-modify-write each on a line that all CPUs of the memcg share
(message 20190417215434.25897-5-guro@fb.com). The reviewer objected that the charge it follows is batched per CPU and
needs no atomic at all (message 20190418081538.prspe27lqudvvu3u@esperanza).
"""

from core.designs.design import Design

reparent_atomic = Design(
    name="reparent_atomic",
    colour="#cc79a7",
    essence="kmem_caches are reparented; one atomic get or put on the cache per slab charge or uncharge",
    source="message 20190417215434.25897-5-guro@fb.com",
    per_memcg_caches=True,
    slab_pins="kmem_cache",
    charges="pages",
    cache_ref="atomic",
    reparents="kmem_caches",
)
