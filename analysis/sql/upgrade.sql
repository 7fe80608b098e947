-- question: what does going from one design or kernel to another give back, on the same events?
-- grain: one row per (elsewhere, from_kernel, from_design, from_batch, to_kernel, to_design, to_batch, cpus, churn_hz); means over pairs, each X with X_pm: half its 95 % interval, null for a single pair
-- elsewhere [1]: the setting without the kernel, which changes
-- from_kernel [kernel]: what runs now
-- from_design [design]: what runs now
-- from_batch [batch]: what runs now
-- to_kernel [kernel]: what would run
-- to_design [design]: what would run
-- to_batch [batch]: what would run: the same, or the kernel's own where each kernel has one
-- pairs [1]: replicates that both saw
-- given_back_bytes [dead_bytes_end]: what gone memcgs would no longer hold; negative where they would hold more
-- given_back_memcgs [dying_memcgs_end]: dying memcgs that would not be there
-- saved_ns [ns_per_object]: time per object that would not be spent
-- saved_atomics [shared_atomics]: atomics on shared lines that would not be spent
-- saved_atomics_share [1]: the same as a share of what is spent now
with own as not materialized (
    select *, kernel in (select kernel from points group by all having min(batch) = max(batch)) as one_batch from points
)
select now.elsewhere, now.kernel as from_kernel, now.design as from_design, now.batch as from_batch,
       new.kernel as to_kernel, new.design as to_design, new.batch as to_batch, now.cpus, now.churn_hz,
       count(*) as pairs,
       avg(now.dead_bytes_end - new.dead_bytes_end) as given_back_bytes,
       half_width(now.dead_bytes_end - new.dead_bytes_end) as given_back_bytes_pm,
       avg(now.dying_memcgs_end - new.dying_memcgs_end) as given_back_memcgs,
       half_width(now.dying_memcgs_end - new.dying_memcgs_end) as given_back_memcgs_pm,
       avg(now.ns_per_object - new.ns_per_object) as saved_ns,
       half_width(now.ns_per_object - new.ns_per_object) as saved_ns_pm,
       avg(now.shared_atomics - new.shared_atomics) as saved_atomics,
       half_width(now.shared_atomics - new.shared_atomics) as saved_atomics_pm,
       saved_atomics / nullif(avg(now.shared_atomics), 0) as saved_atomics_share,
       saved_atomics_pm / nullif(avg(now.shared_atomics), 0) as saved_atomics_share_pm
from own as now join own as new using (scenario_id, elsewhere, cpus)
where (now.kernel, now.design) <> (new.kernel, new.design)
  and (now.batch = new.batch or now.kernel <> new.kernel and now.one_batch and new.one_batch)
group by all
