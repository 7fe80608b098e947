-- question: which kmem_caches hold what each removed cgroup left behind on a real kernel?
-- grain: one row per kmem_cache that the model says changed, kernel, cpus, workload
with
grown as (
    select
        kernel, cpus::bigint as cpus, workload, kmem_cache,
        sum(
            case phase when 'settled' then 1 when 'boot' then -1 end
            * total_objects::double / objects_per_slab::double * pages_per_slab::double * 4
        ) / any_value(cgroups::double) as kib
    from vm_slabs
    join workloads using (workload)
    group by kernel, cpus, workload, kmem_cache
),
asked as (
    select kernel, cpus, workload, workloads.control, figure, replace(figure, 'slab of ', '') as kmem_cache
    from figures
    join workloads using (workload)
    where "group" = 'memory' and starts_with(figure, 'slab of ')
),
measured as (select distinct kernel, cpus, workload from grown)
select
    'memory' as "group", asked.figure, asked.kernel, asked.cpus, asked.workload,
    coalesce(it.kib, 0) - coalesce(control.kib, 0) as reference, -- a cache that is not listed did not change
    greatest(0.1 * abs(reference), 1) as tolerance,
    'absolute' as rule,
    'vm_slabs.csv' as source
from asked
semi join measured using (kernel, cpus, workload)
left join grown as it
    on (it.kernel, it.cpus, it.workload, it.kmem_cache) = (asked.kernel, asked.cpus, asked.workload, asked.kmem_cache)
left join grown as control
    on (control.kernel, control.cpus, control.workload, control.kmem_cache)
    = (asked.kernel, asked.cpus, asked.control, asked.kmem_cache)
