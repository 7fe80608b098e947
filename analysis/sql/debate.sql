-- question: what does each design of the debate cost: in memory, per page charged and uncharged, at rmdir, in time, in fairness?
-- grain: one row per (setting, design, cpus, batch, churn_hz); mean over replicates
-- atomics_per_charge [atomics_per_page_charge]: of page counters, by charges and drained stocks, per page charge
-- atomics_per_uncharge [atomics_per_page_charge]: of page counters, by uncharges, per page uncharge
-- ref_atomics_per_page [atomics_per_page_charge]: of references, per page charge and its uncharge
-- locks_per_page [atomics_per_page_charge]: of the list of charged pages, per page charge and its uncharge
select setting, design, cpus, batch, churn_hz,
       avg(lost_bytes_end) as lost_bytes_end,
       avg(dying_memcgs_end) as dying_memcgs_end,
       avg(dangling_kmem_caches_end) as dangling_kmem_caches_end,
       sum(counter_atomics - uncharge_counter_atomics) / nullif(sum(page_charges), 0) as atomics_per_charge,
       sum(uncharge_counter_atomics) / nullif(sum(page_uncharges), 0) as atomics_per_uncharge,
       sum(refcount_atomics) / nullif(sum(page_charges), 0) as ref_atomics_per_page,
       sum(lock_acquisitions) / nullif(sum(page_charges), 0) as locks_per_page,
       avg(ns_per_object) as ns_per_object,
       avg(offline_work_us) as offline_work_us,
       avg(offline_wait_ms) as offline_wait_ms,
       avg(inherited_bytes_mean) as inherited_bytes_mean,
       avg(over_half_limit_share) as over_half_limit_share
from points
group by all
