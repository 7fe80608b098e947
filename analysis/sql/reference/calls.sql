-- question: how often did a real kernel walk the page counters per charge and per uncharge?
-- grain: one row per figure, kernel, cpus, phase and depth
with
counted as (
    select
        kernel, cpus::bigint as cpus, phase || ', depth ' || depth as workload,
        coalesce(sum(calls::double) filter (function = 'try_charge'), 0) as charges,
        coalesce(sum(calls::double) filter (function = 'page_counter_try_charge'), 0) as charge_walks,
        -- who uncharges pages: until 5.2 and since 5.8; 5.3 to 5.7, where the former calls the latter
        coalesce(
            greatest(
                sum(calls::double) filter (function = '__memcg_kmem_uncharge'),
                sum(calls::double) filter (function = '__memcg_kmem_uncharge_memcg')
            ),
            0
        ) as uncharges,
        coalesce(sum(calls::double) filter (function = 'page_counter_uncharge'), 0) as uncharge_walks,
        coalesce(sum(calls::double) filter (function = 'page_counter_cancel'), 0) as uncharge_atomics
    from ftrace_calls
    group by kernel, cpus, phase, depth
),
ratios as (
    select kernel, cpus, workload, 'charge walks' as figure, charge_walks as times, charges as per from counted
    union all
    select kernel, cpus, workload, 'uncharge walks', uncharge_walks, uncharges from counted
    union all
    select kernel, cpus, workload, 'uncharge atomics', uncharge_atomics, uncharges from counted
)
select
    'calls' as "group", figure, kernel, cpus, workload, times / per as reference,
    if(figure = 'charge walks', greatest(0.1 * reference, 1 / per), 0) as tolerance,
    'absolute' as rule,
    'ftrace_calls.csv' as source
from ratios
where per >= 10 -- a stray charge makes no ratio
