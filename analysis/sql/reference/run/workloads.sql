-- question: which workload is the control of which?
-- grain: one row per workload
select distinct
    workload, if(keep > 0, regexp_replace(workload, '^keep\d+', 'keep0'), null) as control, cgroups, files, keep, warm_ms
from run_points
where source <> 'model' and measure = 'churn'
