-- question: how often is each function of the charge path called, for each file or pipe that is made or removed?
-- grain: one row per (setting, source, cpus, item, quantity); mean over replicates, `mean_pm` half its 95 % Student's t interval
with per_operation as (
    select *, if(phase = 'pipe', 'pipe' || operations, phase) as quantity,
           (hits_after - hits_before) / operations as amount
    from calls where phase <> 'idle' and operations > 0
)
select concat_ws(', ', kernel, 'depth ' || depth, 'cgroup v' || cgroup_version) as setting, source, cpus,
       function as item, quantity, avg(amount) as mean, half_width(amount) as mean_pm, count(amount) as replicates
from per_operation group by all
