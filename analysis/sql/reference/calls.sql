-- question: how often did a real kernel charge pages, and walk the page counters per charge and per uncharge?
-- grain: one row per figure, kernel, cpus, phase and depth
with
named as ( -- what one thing was called: until 5.12, since; uncharges until 5.2 and 5.8 to 5.11, 5.3 to 5.7, since
    select
        *,
        case function
            when 'try_charge' then 'charges'
            when 'try_charge_memcg' then 'charges'
            when 'page_counter_try_charge' then 'charge_walks'
            when '__memcg_kmem_uncharge' then 'uncharges'
            when '__memcg_kmem_uncharge_memcg' then 'uncharges'
            when 'obj_cgroup_uncharge_pages' then 'uncharges'
            when 'page_counter_uncharge' then 'uncharge_walks'
            when 'page_counter_cancel' then 'uncharge_atomics'
        end as what
    from ftrace_calls
),
of_runs as ( -- of two names in one kernel, one calls the other
    select
        kernel, cpus::bigint as cpus, phase || ', depth ' || depth as workload, run,
        coalesce(try_cast(regexp_extract(phase, '\d+') as double), files::double) as operations,
        what, max(calls::double) as calls, max(misses::double) as misses, bool_and(paced::boolean) as paced
    from named
    where what is not null
    group by all
),
counted as (
    select
        kernel, cpus, workload, run, any_value(operations) as operations, sum(misses) as misses, bool_and(paced) as paced,
        coalesce(max(calls) filter (what = 'charges'), 0) as charges,
        coalesce(max(calls) filter (what = 'charge_walks'), 0) as charge_walks,
        coalesce(max(calls) filter (what = 'uncharges'), 0) as uncharges,
        coalesce(max(calls) filter (what = 'uncharge_walks'), 0) as uncharge_walks,
        -- inlined in newer kernels: then nobody counts it
        nullif(max(calls) filter (what = 'uncharge_atomics'), 0) as uncharge_atomics
    from of_runs
    group by kernel, cpus, workload, run
),
ratios as (
    -- how many are freed in one go depends on the pace: nobody can say it for a machine whose pace was not recorded
    select *, 'charges' as figure, charges as times, operations as per from counted where paced
    union all by name
    select *, 'charge walks' as figure, charge_walks as times, charges as per from counted
    union all by name
    select *, 'uncharge walks' as figure, uncharge_walks as times, uncharges as per from counted
    union all by name
    select *, 'uncharge atomics' as figure, uncharge_atomics as times, uncharges as per from counted
),
averaged as (
    select
        figure, kernel, cpus, workload, avg(times / per) as reference, avg(per) as per, count(*) as runs,
        if(count(*) >= 3, sqrt(var_samp(times / per) / count(*)), null) as standard_error, sum(misses) as misses
    from ratios
    where per >= 10 -- a stray charge makes no ratio
    group by figure, kernel, cpus, workload
    having reference is not null
)
select
    'calls' as "group", figure, kernel, cpus, workload, reference, standard_error, runs,
    case figure
        when 'charges' then greatest(0.02 * reference, coalesce(2 * standard_error, 0), 10 / per)
        when 'charge walks' then greatest(0.1 * reference, coalesce(2 * standard_error, 0), 1 / per)
        else coalesce(2 * standard_error, 0)
    end as tolerance,
    'absolute' as rule,
    if(misses > 0 and figure <> 'charges', 'probes missed calls', null) as refused,
    'ftrace_calls.csv' as source
from averaged
