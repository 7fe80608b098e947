-- question: how long does an operation take where it is charged, and where it is not?
-- grain: one row per (setting, source, cpus, item, quantity); mean over repeats, `mean_pm` half its 95 % Student's t interval
select concat_ws(', ', kernel, 'cgroup v' || cgroup_version) as setting, source, cpus,
       operation || ', ' || processes || ' at once' as item, quantity,
       avg(amount) as mean, half_width(amount) as mean_pm, count(amount) as replicates
from (unpivot costs on accounted_ns, unaccounted_ns into name quantity value amount)
group by all
