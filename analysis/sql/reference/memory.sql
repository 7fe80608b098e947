-- question: what did each removed cgroup leave behind on a real kernel, beyond what the control left?
-- grain: one row per figure, kernel, cpus, workload
with
grown as (
    select
        kernel, cpus, workload, run, settled.cgroups_removed::double as cgroups,
        settled.slab_kib::double - boot.slab_kib::double as slab_kib,
        settled.percpu_kib::double - boot.percpu_kib::double as percpu_kib,
        settled.dying_memcgs::double - boot.dying_memcgs::double as dying_memcgs,
        settled.memcg_kmem_caches::double - boot.memcg_kmem_caches::double as memcg_kmem_caches
    from vm_memory as boot
    join vm_memory as settled using (kernel, cpus, workload, run)
    where boot.phase = 'boot' and settled.phase = 'settled'
),
per_cgroup as (
    select
        kernel, cpus, workload, cgroups,
        (slab_kib + percpu_kib) / cgroups as "slab + percpu",
        slab_kib / cgroups as slab,
        percpu_kib / cgroups as percpu,
        dying_memcgs / cgroups as "dying memcgs",
        memcg_kmem_caches / cgroups as "memcg kmem_caches"
    from grown
),
long as (
    unpivot per_cgroup
    on "slab + percpu", slab, percpu, "dying memcgs", "memcg kmem_caches"
    into name figure value amount
),
averaged as (
    select
        kernel, cpus, workload, figure, max(cgroups) as cgroups, count(*) as runs, max(amount) as most,
        avg(amount) as mean, var_samp(amount) / count(*) as variance
    from long
    group by kernel, cpus, workload, figure
),
-- removed cgroups that were still there, or caches made too late: what the control left is no measure then
unclean as (
    select kernel, cpus, workload
    from averaged
    where figure in ('dying memcgs', 'memcg kmem_caches') and most > 0
),
paired as (
    select
        kernel, cpus::bigint as cpus, workload, figure, it.cgroups, it.runs,
        it.mean - control.mean as reference,
        case
            when least(it.runs, control.runs) >= 3 then sqrt(it.variance + control.variance)
            when figure in ('slab', 'slab + percpu') then scatter.of_all_kib
        end as standard_error,
        3 * 4 * cpus::double / it.cgroups as percpu_step_kib,
        -- of so many cgroups some kept nothing, where a starved guest made their caches too late
        greatest(ceil(reference), 1) as each,
        3 * each * sqrt(greatest(reference / each * (1 - reference / each), 0) / (it.runs * it.cgroups)) as starved,
        if((kernel, cpus, control.workload) in (from unclean), 'its control is not clean', null) as refused
    from averaged as it
    join workloads using (workload)
    join averaged as control using (kernel, cpus, figure)
    left join scatter on (scatter.kernel, scatter.cpus, scatter.workload) = (it.kernel, it.cpus::bigint, it.workload)
    where control.workload = workloads.control
)
select
    'memory' as "group", figure, kernel, cpus, workload, reference, standard_error, runs,
    case
        when figure in ('dying memcgs', 'memcg kmem_caches') then coalesce(starved, 0)
        when figure = 'percpu' then greatest(0.05 * abs(reference), coalesce(2 * standard_error, 0), percpu_step_kib)
        else greatest(0.1 * abs(reference), coalesce(2 * standard_error, 0), 1)
    end as tolerance,
    'absolute' as rule, refused,
    'vm_memory.csv' as source
from paired
