"""Linux 5.9 and later: slabs are shared and each object is charged by its bytes to an obj_cgroup.

obj_cgroup_charge() takes size + 8 bytes from the CPU's cached obj_cgroup or charges whole pages through the memcg's
stock; obj_cgroup_uncharge() gives bytes back; drain_obj_stock() uncharges the whole pages left over (mm/memcontrol.c,
Linux 5.9). Each object holds a percpu reference on the obj_cgroup, which is reparented at offline, so neither memcg nor
kmem_cache is pinned. The setting `objcg_as_of` picks the version: uncharges go to the stock from 5.11.
"""

from core.designs.design import Design

objcg = Design(
    name="objcg",
    essence="shared slabs; objects charged by bytes to a reparented obj_cgroup",
    source="obj_cgroup_charge(), obj_cgroup_uncharge(), drain_obj_stock(), Linux 5.9 to 6.15",
    per_memcg_caches=False,
    slab_pins="nothing",
    charges="bytes",
    reparents="objcgs",
    uncharge_batched=True,
)
