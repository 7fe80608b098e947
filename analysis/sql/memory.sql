-- question: which component holds the memory?
-- grain: one row per (point, component)
-- component [1]: what of memory_bytes_* comes after the prefix
-- bytes [lost_bytes_end]: bytes of that component at the end
select point_id, scenario_id, replicate, setting, design, cpus, batch, churn_hz,
       replace(component, 'memory_bytes_', '') as component, bytes
from (unpivot points on columns('^memory_bytes_') into name component value bytes)
