-- question: what did a kernel of this run say of its kmem_caches?
-- grain: one row per kernel, cpus, workload, boot, phase and kmem_cache
with measured as (from run_slabs where source <> 'model' and total_objects_before <> total_objects_after)
select
    kernel, cpus, workload, replicate as run, 'boot' as phase, kmem_cache, object_bytes, objects_per_slab, pages_per_slab,
    total_objects_before as total_objects
from measured
union all
select
    kernel, cpus, workload, replicate, 'settled', kmem_cache, object_bytes, objects_per_slab, pages_per_slab,
    total_objects_after
from measured
