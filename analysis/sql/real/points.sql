-- question: what does each removed cgroup leave behind, on kernels and in the model beside them?
-- grain: one row per (setting, source, cpus, item, quantity); mean over replicates, `mean_pm` half its 95 % Student's t interval
with per_cgroup as (
    select *,
           (dying_memcgs_after - dying_memcgs_before) / cgroups as dying_memcgs,
           (memcg_kmem_caches_after - memcg_kmem_caches_before) / cgroups as memcg_kmem_caches,
           (slab_kib_after - slab_kib_before) / cgroups as slab_kib,
           (sunreclaim_kib_after - sunreclaim_kib_before) / cgroups as sunreclaim_kib,
           (sreclaimable_kib_after - sreclaimable_kib_before) / cgroups as sreclaimable_kib,
           (percpu_kib_after - percpu_kib_before) / cgroups as percpu_kib
    from points where measure = 'churn' and cgroups > 0
)
select concat_ws(', ', kernel, workload, 'depth ' || depth, 'cgroup v' || cgroup_version) as setting, source, cpus,
       '' as item, quantity, avg(amount) as mean, half_width(amount) as mean_pm, count(amount) as replicates
from (
    unpivot per_cgroup
    on dying_memcgs, memcg_kmem_caches, slab_kib, sunreclaim_kib, sreclaimable_kib, percpu_kib
    into name quantity value amount
)
group by all
