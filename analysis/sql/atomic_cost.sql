-- question: how many shared atomics does each design spend, per page charged and for the same work?
-- grain: one row per (setting, design, cpus, batch, churn_hz); mean over replicates
-- atomics_over_floor [shared_atomics]: shared atomics minus those of no accounting on the same scenario
with floor as (
    select scenario_id, setting, cpus, batch, min(shared_atomics) as shared_atomics
    from points where design not in (select name from designs where accounts)
    group by all
)
select setting, design, cpus, batch, churn_hz,
       avg(atomics_per_page_charge) as atomics_per_page_charge,
       avg(atomics_per_object) as atomics_per_object,
       avg(p.shared_atomics) as shared_atomics,
       avg(p.shared_atomics - floor.shared_atomics) as atomics_over_floor,
       avg(percpu_ops) as percpu_ops,
       avg(lock_acquisitions) as lock_acquisitions
from points as p left join floor using (scenario_id, setting, cpus, batch)
where design in (select name from designs where accounts)
group by all
