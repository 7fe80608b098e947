-- question: what does each design of the debate cost: in memory, per page charged and uncharged, in time, at rmdir, in fairness?
-- grain: one row per (setting, design, cpus, batch, churn_hz); mean over replicates
-- out_of_memory [1]: replicates that ran out of the host's memory
-- atomics_per_charge [atomics_per_page_charge]: of page counters, by charges and drained stocks, per page charge
-- atomics_per_uncharge [atomics_per_page_charge]: of page counters, by uncharges, per page uncharge
-- refs_per_page [atomics_per_page_charge]: atomics of references, per page charge and its uncharge
-- locks_per_page [atomics_per_page_charge]: acquisitions of locks, per page charge and its uncharge
select setting, design, cpus, batch, churn_hz,
       dead_bytes_end, dead_bytes_end_pm, total_bytes_end, total_bytes_end_pm, lost_bytes_end, lost_bytes_end_pm,
       dying_memcgs_end, dying_memcgs_end_pm,
       atomics_per_charge, atomics_per_charge_pm, atomics_per_uncharge, atomics_per_uncharge_pm,
       refs_per_page, refs_per_page_pm, locks_per_page, locks_per_page_pm,
       ns_per_object, ns_per_object_pm, ns_per_object_low, ns_per_object_high,
       rmdir_caller_us, rmdir_caller_us_pm, offline_background_us, offline_background_us_pm,
       offline_work_us, offline_work_us_pm, inherited_bytes_mean, inherited_bytes_mean_pm,
       over_half_limit_share, over_half_limit_share_pm, out_of_memory
from cells
