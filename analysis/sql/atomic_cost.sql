-- question: how many shared atomics does each design spend per page charged, and for the same events?
-- grain: one row per (setting, design, cpus, batch, churn_hz); mean over replicates
-- atomics [counter_atomics]: on counters and references together
-- atomics_over_floor [counter_atomics]: the same minus what no accounting spends on the same scenario
with spent as (
    select *, counter_atomics + refcount_atomics as atomics from points
),
floor as (
    select scenario_id, setting, cpus, batch, min(atomics) as atomics
    from spent where design not in (select name from designs where accounts)
    group by all
)
select setting, design, cpus, batch, churn_hz,
       avg(atomics_per_page_charge) as atomics_per_page_charge,
       avg(spent.atomics) as atomics,
       avg(spent.atomics - floor.atomics) as atomics_over_floor,
       avg(percpu_ops) as percpu_ops,
       avg(lock_acquisitions) as lock_acquisitions
from spent left join floor using (scenario_id, setting, cpus, batch)
where design in (select name from designs where accounts)
group by all
