-- question: how much memory does each design hold for memcgs that are gone, and in all?
-- grain: one row per (setting, design, cpus, batch, churn_hz); mean over replicates
-- out_of_memory [1]: replicates that ran out of the host's memory
-- dead_bytes_per_memcg [dead_bytes_end]: per memcg that is gone and not freed; null where there is none
select setting, design, cpus, batch, churn_hz,
       dead_bytes_end, dead_bytes_end_pm, dead_bytes_mean, dead_bytes_mean_pm, total_bytes_end, total_bytes_end_pm,
       lost_bytes_end, lost_bytes_end_pm, dying_memcgs_end, dying_memcgs_end_pm,
       dangling_kmem_caches_end, dangling_kmem_caches_end_pm,
       dead_bytes_end / nullif(dying_memcgs_end, 0) as dead_bytes_per_memcg,
       out_of_memory
from cells where design in (select name from designs where accounts)
