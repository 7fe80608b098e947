"""Linux 5.9 and later: slabs are shared and each object is charged by its bytes to an obj_cgroup.

obj_cgroup_charge() takes size + 8 bytes from the CPU's cached obj_cgroup or charges whole pages through the memcg's
stock; obj_cgroup_uncharge() gives bytes back; drain_obj_stock() uncharges the whole pages left over (mm/memcontrol.c,
Linux 5.9). Each object holds a percpu reference on the obj_cgroup, which is reparented at offline, so neither memcg nor
kmem_cache is pinned. `objcg_as_of` picks the version:

- 5.9: an overflowing byte stock is emptied, its whole pages uncharged at once, each time; hackbench lost 16 %;
- 5.11: those pages go to the page stock (commit 3de7d4f25a74, message 20210106042239.2860107-1-guro@fb.com);
- 5.15: the remainder stays in the byte stock, nr_charged_bytes is exchanged only if it is not 0, statistics are cached
  up to a page (Linux 5.14, message 20210506150007.16288-1-longman@redhat.com) and propagated by rstat (5.13);
- 6.1: the same; what changed is MEMCG_CHARGE_BATCH, from 32 to 64;
- 6.7: a task keeps a reference on its obj_cgroup, so an allocation takes only the object's own;
- 6.16: a drained byte stock uncharges its whole pages at once, and pages of the root are left alone;
- 7.1 and 7.2: the same, as far as one byte stock goes; `objcg_per_node` has the rest.
"""

from core.designs.design import Design, ObjcgVersion

_V5_9 = ObjcgVersion(
    carries_bytes=False,
    caches_stat=False,
    rstat=False,
    drain_to_stock=False,
    refill_to_stock=False,
    tryget_per_alloc=True,
    css_get_per_uncharge=False,
    skips_root=False,
)
_V5_11 = _V5_9._replace(drain_to_stock=True, refill_to_stock=True)
_V5_15 = _V5_11._replace(carries_bytes=True, caches_stat=True, rstat=True, css_get_per_uncharge=True)

_V6_7 = _V5_15._replace(tryget_per_alloc=False)
_V6_16 = _V6_7._replace(drain_to_stock=False, skips_root=True)

AS_OF = {
    "5.9": _V5_9,
    "5.11": _V5_11,
    "5.15": _V5_15,
    "6.1": _V5_15,
    "6.7": _V6_7,
    "6.16": _V6_16,
    "7.1": _V6_16,
    "7.2": _V6_16,
}

objcg = Design(
    name="objcg",
    colour="#009e73",
    essence="shared slabs; objects charged by bytes to a reparented obj_cgroup",
    source="obj_cgroup_charge(), obj_cgroup_uncharge(), drain_obj_stock(), Linux 5.9 to 6.15",
    per_memcg_caches=False,
    slab_pins="nothing",
    charges="bytes",
    reparents="objcgs",
    objcg_version=AS_OF.__getitem__,
)
