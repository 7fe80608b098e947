-- question: how often does each kind of operation happen?
-- grain: one row per (point, kind)
-- kind [1]: column of points that counts it; no operation is counted under two kinds
-- n [1]: how often
select point_id, scenario_id, replicate, setting, design, cpus, batch, churn_hz, kind, n
from (
    unpivot points
    on counter_atomics, refcount_atomics, byte_atomics, stat_atomics, percpu_ref_ops, percpu_stat_ops, lock_acquisitions,
       stock_hits, stock_drains
    into name kind value n
)
