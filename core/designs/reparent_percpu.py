"""Linux 5.3 to 5.8: kmem_caches are reparented and refer to slabs by a percpu_ref.

memcg_charge_slab() takes percpu_ref_get_many() on the cache and gives the css references of try_charge() back;
memcg_uncharge_slab() puts them: per-CPU adds while the cache is online, shared atomics once kmemcg_cache_deactivate()
has killed the percpu_ref (mm/slab.h and mm/slab_common.c, Linux 5.3). The memcg goes; the kmem_cache dangles, charged
to the parent, until its last slab is freed.
"""

from core.designs.design import Design

reparent_percpu = Design(
    name="reparent_percpu",
    colour="#e69f00",
    essence="kmem_caches are reparented; percpu_ref on the cache, atomic only after offline",
    source="memcg_charge_slab(), memcg_uncharge_slab(), kmemcg_cache_deactivate(), Linux 5.3 to 5.8",
    per_memcg_caches=True,
    slab_pins="kmem_cache",
    charges="pages",
    cache_ref="percpu",
    reparents="kmem_caches",
)
