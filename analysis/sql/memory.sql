-- question: which component holds the memory, of memcgs that are online and of those that are gone?
-- grain: one row per (point, state, component)
-- state [1]: live: of online memcgs; dead: of gone ones
-- component [1]: what columns memory_bytes_<state>_* are called after the prefix
-- bytes [total_bytes_end]: held at the end
select point_id, scenario_id, replicate, setting, design, cpus, batch, churn_hz,
       regexp_extract(held, '^memory_bytes_([a-z]+)_', 1) as state,
       regexp_replace(held, '^memory_bytes_[a-z]+_', '') as component,
       bytes
from (unpivot points on columns('^memory_bytes_') into name held value bytes)
