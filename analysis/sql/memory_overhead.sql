-- question: how much memory does each design hold that no accounting would not, and no online memcg uses?
-- grain: one row per (setting, design, cpus, churn_hz); mean over replicates and batches
-- lost_bytes_per_memcg [lost_bytes_end]: per memcg that is gone and not freed; null where there is none
select setting, design, cpus, churn_hz,
       avg(lost_bytes_end) as lost_bytes_end,
       avg(total_bytes_end) as total_bytes_end,
       avg(dying_memcgs_end) as dying_memcgs_end,
       avg(dangling_kmem_caches_end) as dangling_kmem_caches_end,
       avg(lost_bytes_end) / nullif(avg(dying_memcgs_end), 0) as lost_bytes_per_memcg
from points where design in (select name from designs where accounts)
group by all
