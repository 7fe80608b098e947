-- question: how often does each kind of operation happen?
-- grain: one row per (point, kind)
-- kind [1]: column of points that was counted
-- n [1]: how often
select point_id, scenario_id, replicate, setting, design, cpus, batch, churn_hz, kind, n
from (
    unpivot points
    on counter_atomics, refcount_atomics, percpu_ops, lock_acquisitions, stock_hits, stock_drains
    into name kind value n
)
