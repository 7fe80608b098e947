-- question: how does each design's cost grow with the CPU count?
-- grain: one row per (setting, design, batch, churn_hz); least squares and ratios over the CPU counts and replicates
-- fewest_cpus [cpus]: the smallest CPU count of the sweep
-- most_cpus [cpus]: the largest
-- lost_bytes_per_cpu [lost_bytes_end]: slope of lost memory over CPUs
-- ns_growth [1]: time per object at the most CPUs over that at the fewest
-- atomics_growth [1]: atomics at the most CPUs over atomics at the fewest, for the same events
with costs as (
    select setting, design, batch, churn_hz, cpus,
           avg(lost_bytes_end) as lost_bytes_end,
           avg(shared_atomics) as atomics,
           avg(ns_per_object) as ns
    from points where design in (select name from designs where accounts)
    group by all
)
select setting, design, batch, churn_hz,
       min(cpus) as fewest_cpus,
       max(cpus) as most_cpus,
       regr_slope(lost_bytes_end, cpus) as lost_bytes_per_cpu,
       arg_max(atomics, cpus) / nullif(arg_min(atomics, cpus), 0) as atomics_growth,
       arg_max(ns, cpus) / nullif(arg_min(ns, cpus), 0) as ns_growth
from costs
group by all
