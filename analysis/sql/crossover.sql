-- question: which design is best where, over CPUs and churn, by how much, and which are not told apart from it?
-- grain: one row per (setting, measure, cpus, batch, churn_hz); the least mean over replicates, of designs that fit in the host's memory
-- measure [1]: what is to be small
-- best_design [design]: the one with the least mean
-- best_value [measure]: its mean
-- tied [design]: list of the others that are not told apart from it: see uncertainty
-- runner_up [design]: the next by the mean
-- margin [1]: share by which the runner-up's mean is worse
with measured as (
    select setting, cpus, batch, churn_hz, design, measure, value, value_pm
    from cells unpivot include nulls (
        (value, value_pm) for measure in (
            (dead_bytes_end, dead_bytes_end_pm) as 'dead_bytes_end',
            (atomics_per_object, atomics_per_object_pm) as 'atomics_per_object',
            (ns_per_object, ns_per_object_pm) as 'ns_per_object'
        )
    )
    where design in (select name from designs where accounts) and out_of_memory = 0 and value is not null
),
ranked as (
    select setting, measure, cpus, batch, churn_hz,
           list(design order by value, design) as designs,
           list(value order by value, design) as figures,
           list(value_pm order by value, design) as halves
    from measured group by all
),
near as (
    select r.setting, r.measure, r.cpus, r.batch, r.churn_hz, list(u.design order by u.design) as tied
    from ranked as r join uncertainty as u using (setting, measure, cpus, batch, churn_hz)
    where u.against = r.designs[1] and u.told = 0 and list_contains(r.designs, u.design)
    group by all
)
select setting, measure, cpus, batch, churn_hz,
       designs[1] as best_design,
       figures[1] as best_value,
       halves[1] as best_value_pm,
       coalesce(tied, []) as tied,
       designs[2] as runner_up,
       figures[2] / nullif(figures[1], 0) - 1 as margin
from ranked left join near using (setting, measure, cpus, batch, churn_hz)
