-- question: how far apart are two runs of one program? The caches of tasks hold nothing that a kept file could keep, so
-- what they differ by is chance.
-- grain: one row per kernel, cpus and workload that has a control
with
grown as (
    select
        kernel, cpus::bigint as cpus, workload, kmem_cache,
        sum(
            case phase when 'settled' then 1 when 'boot' then -1 end
            * total_objects::double / objects_per_slab::double * pages_per_slab::double * 4
        ) / count(distinct run) / any_value(cgroups::double) as kib
    from vm_slabs
    join workloads using (workload)
    group by kernel, cpus, workload, kmem_cache
),
pairs as (select distinct kernel, cpus, workload, control from grown join workloads using (workload) where control <> ''),
caches as (
    select kernel, cpus, pairs.workload, kmem_cache, sum(if(grown.workload = pairs.workload, kib, -kib)) as difference
    from pairs
    join grown using (kernel, cpus)
    where grown.workload in (pairs.workload, pairs.control)
    group by kernel, cpus, pairs.workload, kmem_cache
)
select
    kernel, cpus, workload, count(*) as changed_caches,
    sqrt(coalesce(sum(difference ** 2) filter (untouched.kmem_cache is not null), 0) / any_value(of.caches)) as of_one_kib,
    of_one_kib * sqrt(changed_caches) as of_all_kib
from caches
left join untouched using (kmem_cache)
cross join (select count(*) as caches from untouched) as of
group by kernel, cpus, workload
