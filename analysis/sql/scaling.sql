-- question: how does each design's cost grow with the CPU count?
-- grain: one row per (setting, design, batch, churn_hz); least squares and ratios of means over the CPU counts
-- fewest_cpus [cpus]: the smallest CPU count of the sweep
-- most_cpus [cpus]: the largest
-- dead_bytes_per_cpu [dead_bytes_end]: slope of what gone memcgs hold over CPUs
-- ns_growth [1]: time per object at the most CPUs over that at the fewest
-- atomics_growth [1]: atomics per page charge at the most CPUs over those at the fewest
select setting, design, batch, churn_hz,
       min(cpus) as fewest_cpus,
       max(cpus) as most_cpus,
       regr_slope(dead_bytes_end, cpus) as dead_bytes_per_cpu,
       arg_max(atomics_per_page_charge, cpus) / nullif(arg_min(atomics_per_page_charge, cpus), 0) as atomics_growth,
       arg_max(ns_per_object, cpus) / nullif(arg_min(ns_per_object, cpus), 0) as ns_growth
from cells where design in (select name from designs where accounts)
group by all
