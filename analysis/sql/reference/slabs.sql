-- question: which kmem_caches hold what each removed cgroup left behind on a real kernel?
-- grain: one row per kmem_cache that the model says changed, and one for all of them, kernel, cpus, workload
with
grown as (
    select
        kernel, cpus::bigint as cpus, workload, run, kmem_cache,
        sum(
            case phase when 'settled' then 1 when 'boot' then -1 end
            * total_objects::double / objects_per_slab::double * pages_per_slab::double * 4
        ) / any_value(cgroups::double) as kib
    from vm_slabs
    join workloads using (workload)
    group by kernel, cpus, workload, run, kmem_cache
),
runs as (select kernel, cpus, workload, run from grown group by all),
asked as (
    select kernel, cpus, workload, workloads.control, figure, replace(figure, 'slab of ', '') as kmem_cache
    from figures
    join workloads using (workload)
    where "group" = 'memory' and starts_with(figure, 'slab of ') and figure <> 'slab of touched caches'
),
of_each as ( -- a cache that is not listed did not change
    select asked.*, runs.workload = asked.workload as of_it, runs.run, coalesce(grown.kib, 0) as kib
    from asked
    join runs on (runs.kernel, runs.cpus) = (asked.kernel, asked.cpus) and runs.workload in (asked.workload, asked.control)
    left join grown
        on (grown.kernel, grown.cpus, grown.workload, grown.run, grown.kmem_cache)
        = (runs.kernel, runs.cpus, runs.workload, runs.run, asked.kmem_cache)
),
with_total as (
    select kernel, cpus, workload, figure, of_it, run, kib from of_each
    union all
    select kernel, cpus, workload, 'slab of touched caches', of_it, run, sum(kib)
    from of_each
    group by kernel, cpus, workload, of_it, run
),
paired as (
    select
        kernel, cpus, workload, figure,
        avg(kib) filter (of_it) - coalesce(avg(kib) filter (not of_it), 0) as reference,
        least(count(*) filter (of_it), count(*) filter (not of_it)) as runs,
        sqrt(
            var_samp(kib) filter (of_it) / count(*) filter (of_it)
            + var_samp(kib) filter (not of_it) / count(*) filter (not of_it)
        ) as of_runs
    from with_total
    group by kernel, cpus, workload, figure
    having bool_or(of_it)
),
refusals as (select kernel, cpus, workload, max(refused) as refused from memory group by all)
select
    'memory' as "group", figure, kernel, cpus, workload, reference,
    case
        when paired.runs >= 3 then of_runs
        when figure = 'slab of touched caches' then scatter.of_all_kib
        else scatter.of_one_kib
    end as standard_error,
    greatest(paired.runs, 1) as runs,
    greatest(0.1 * abs(reference), coalesce(2 * standard_error, 0), 1) as tolerance,
    'absolute' as rule, refused,
    'vm_slabs.csv' as source
from paired
left join scatter using (kernel, cpus, workload)
left join refusals using (kernel, cpus, workload)
