-- question: what does each design cost at each point of the grid, and how sure is that?
-- grain: one row per (setting, design, cpus, batch, churn_hz); means over replicates, each X with X_pm: half its 95 % Student's t interval, null for one replicate
-- replicates [1]: rows that the means are of
-- own [1]: whether a row is what the kernel does by itself; true where the run does not say
-- out_of_memory [1]: of these, how many ran out of the host's memory
-- atomics_per_charge [atomics_per_page_charge]: of page counters, by charges and drained stocks, per page charge
-- atomics_per_uncharge [atomics_per_page_charge]: of page counters, by uncharges, per page uncharge
-- refs_per_page [atomics_per_page_charge]: atomics of references, per page charge and its uncharge
-- locks_per_page [atomics_per_page_charge]: acquisitions of locks, per page charge and its uncharge
with ratios as (
    select *,
           (counter_atomics - uncharge_counter_atomics) / nullif(page_charges, 0) as atomics_per_charge,
           uncharge_counter_atomics / nullif(page_uncharges, 0) as atomics_per_uncharge,
           2 * refcount_atomics / (nullif(page_charges, 0) + coalesce(nullif(page_uncharges, 0), page_charges)) as refs_per_page,
           2 * lock_acquisitions / (nullif(page_charges, 0) + coalesce(nullif(page_uncharges, 0), page_charges)) as locks_per_page
    from points
)
select setting, design, cpus, batch, churn_hz,
       count(*) as replicates,
       count(*) filter (where out_of_memory_s between 0 and 1e12) as out_of_memory,
       coalesce(bool_or(counterfactual = 0), true) as own,
       any_value(host_prices) as host_prices,
       any_value(host_grade) as host_grade,
       min(knee_cpus) as knee_cpus,
       avg(columns('_bytes_(end|mean|bound|live|dead)$|_memcgs_(end|mean)$|_caches_end$|cgroups_end$|^(atomics|ns|refs|locks)_per_|^shared_atomics$|^percpu_ops$|^(rmdir_caller|offline_background|offline_work)_us$|^offline_wait_ms$|^over_half_limit_share$')),
       half_width(columns('_bytes_(end|mean|bound|live|dead)$|_memcgs_(end|mean)$|_caches_end$|cgroups_end$|^(atomics|ns|refs|locks)_per_|^shared_atomics$|^percpu_ops$|^(rmdir_caller|offline_background|offline_work)_us$|^offline_wait_ms$|^over_half_limit_share$')) as '\0_pm'
from ratios
group by all
