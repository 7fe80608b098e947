-- question: what does going from one design to another give back, on the same kernel and the same events?
-- grain: one row per (setting, from_design, to_design, cpus, batch, churn_hz); mean over replicates
-- from_design [design]: what runs now
-- to_design [design]: what would run
-- given_back_bytes [lost_bytes_end]: lost memory that would not be lost; negative where more would be
-- given_back_memcgs [dying_memcgs_end]: dying memcgs that would not be there
-- saved_ns [ns_per_object]: time per object that would not be spent
-- saved_atomics [shared_atomics]: atomics on shared lines that would not be spent
-- saved_atomics_share [1]: the same as a share of what is spent now
select now.setting, now.design as from_design, new.design as to_design, now.cpus, now.batch, now.churn_hz,
       avg(now.lost_bytes_end - new.lost_bytes_end) as given_back_bytes,
       avg(now.dying_memcgs_end - new.dying_memcgs_end) as given_back_memcgs,
       avg(now.ns_per_object - new.ns_per_object) as saved_ns,
       avg(now.shared_atomics - new.shared_atomics) as saved_atomics,
       saved_atomics / nullif(avg(now.shared_atomics), 0) as saved_atomics_share
from points as now join points as new using (scenario_id, setting, cpus, batch)
where now.design <> new.design
group by all
