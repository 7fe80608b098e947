-- question: how much memory does each design hold that no accounting would not, and no live memcg uses?
-- grain: one row per (setting, design, cpus, churn_hz); mean over replicates and batches
select setting, design, cpus, churn_hz,
       avg(lost_bytes_end) as lost_bytes_end,
       avg(dying_memcgs_end) as dying_memcgs_end,
       avg(dangling_kmem_caches_end) as dangling_kmem_caches_end
from points where design in (select name from designs where accounts)
group by all
