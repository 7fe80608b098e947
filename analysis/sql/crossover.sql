-- question: which design is best where, over CPUs and churn, and by how much?
-- grain: one row per (setting, measure, cpus, batch, churn_hz); the least mean over replicates wins
-- measure [1]: what is to be small
-- best_design [design]: the winner; of designs within 1 % of each other the one that loses less memory
-- best_value [measure]: its mean
-- runner_up [design]: the next
-- margin [1]: share by which the runner-up is worse
with means as (
    select setting, cpus, batch, churn_hz, design,
           avg(lost_bytes_end) as lost_bytes_end,
           avg(atomics_per_object) as atomics_per_object,
           avg(ns_per_object) as ns_per_object
    from points where design in (select name from designs where accounts)
    group by all
),
measured as (
    unpivot (select *, lost_bytes_end as tie_break from means)
    on lost_bytes_end, atomics_per_object, ns_per_object into name measure value value
),
ranked as (
    select *, row_number() over (
        partition by setting, measure, cpus, batch, churn_hz
        order by value > 1.01 * fewest, case when value <= 1.01 * fewest then tie_break end, value, design
    ) as place
    from (select *, min(value) over (partition by setting, measure, cpus, batch, churn_hz) as fewest from measured)
)
select setting, measure, cpus, batch, churn_hz,
       max(design) filter (place = 1) as best_design,
       max(value) filter (place = 1) as best_value,
       max(design) filter (place = 2) as runner_up,
       max(value) filter (place = 2) / nullif(best_value, 0) - 1 as margin
from ranked
group by all
