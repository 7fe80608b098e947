-- question: which designs should nobody choose: another holds no more dead memory, spends no more atomics and no more time, and is better in one?
-- grain: one row per (setting, design, cpus, batch, churn_hz); mean over replicates, of designs that account
-- dominated_by [design]: list of designs that are told to be better in one of the three and in none to be worse: see uncertainty
-- out_of_memory [1]: replicates that ran out of the host's memory
with beaten as (
    select setting, design, against, cpus, batch, churn_hz
    from uncertainty
    where measure in ('dead_bytes_end', 'atomics_per_object', 'ns_per_object')
      and against in (select name from designs where accounts)
    group by all
    having max(told) > 0 and min(told) >= 0
),
beaters as (
    select setting, design, cpus, batch, churn_hz, list(against order by against) as dominated_by
    from beaten group by all
)
select setting, design, cpus, batch, churn_hz,
       dead_bytes_end, dead_bytes_end_pm, atomics_per_object, atomics_per_object_pm, ns_per_object, ns_per_object_pm,
       coalesce(dominated_by, []) as dominated_by,
       out_of_memory
from cells left join beaters using (setting, design, cpus, batch, churn_hz)
where design in (select name from designs where accounts)
