-- question: what did a kernel of this run say of its memory?
-- grain: one row per kernel, cpus, workload, boot and phase
with measured as (from run_points where source <> 'model' and measure = 'churn')
select
    kernel, cpus, workload, replicate as run, 0 as cgroups_removed, 'boot' as phase,
    dying_memcgs_before as dying_memcgs, memcg_kmem_caches_before as memcg_kmem_caches, slab_kib_before as slab_kib,
    percpu_kib_before as percpu_kib
from measured
union all
select
    kernel, cpus, workload, replicate, cgroups, 'settled',
    dying_memcgs_after, memcg_kmem_caches_after, slab_kib_after, percpu_kib_after
from measured
