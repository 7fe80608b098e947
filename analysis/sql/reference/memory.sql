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
        kernel, cpus, workload, figure, max(cgroups) as cgroups,
        avg(amount) as mean, coalesce(var_samp(amount), 0) / count(*) as variance
    from long
    group by kernel, cpus, workload, figure
),
paired as (
    select
        kernel, cpus::bigint as cpus, workload, figure, it.cgroups,
        it.mean - control.mean as reference,
        2 * sqrt(it.variance + control.variance) as two_errors,
        3 * 4 * cpus::double / it.cgroups as percpu_step_kib
    from averaged as it
    join workloads using (workload)
    join averaged as control using (kernel, cpus, figure)
    where control.workload = workloads.control
)
select
    'memory' as "group", figure, kernel, cpus, workload, reference,
    case
        when figure in ('dying memcgs', 'memcg kmem_caches') then 0
        when figure = 'percpu' then greatest(0.05 * abs(reference), two_errors, percpu_step_kib / 2)
        else greatest(0.1 * abs(reference), two_errors, 1)
    end as tolerance,
    'absolute' as rule,
    'vm_memory.csv' as source
from paired
