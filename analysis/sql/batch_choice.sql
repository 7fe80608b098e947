-- question: which charge batch is enough: the smallest within 5 % of the fewest atomics of any batch swept?
-- grain: one row per (setting, design, cpus, churn_hz); mean over replicates
-- fewest_atomics [shared_atomics]: what the best batch spends
-- smallest_batch [batch]: the smallest batch that was swept
-- saved_share [1]: share of the smallest batch's atomics that the chosen one saves
with costs as (
    select setting, design, cpus, churn_hz, batch,
           avg(shared_atomics) as atomics,
           avg(atomics_per_page_charge) as atomics_per_page_charge
    from points where design in (select name from designs where accounts)
    group by all
),
ranked as (
    select *,
           min(atomics) over the_batches as fewest_atomics,
           min(batch) over the_batches as smallest_batch,
           arg_min(atomics, batch) over the_batches as unbatched_atomics
    from costs
    window the_batches as (partition by setting, design, cpus, churn_hz)
)
select setting, design, cpus, churn_hz,
       min(batch) as batch,
       arg_min(atomics_per_page_charge, batch) as atomics_per_page_charge,
       any_value(fewest_atomics) as fewest_atomics,
       any_value(smallest_batch) as smallest_batch,
       1 - arg_min(atomics, batch) / nullif(any_value(unbatched_atomics), 0) as saved_share
from ranked
where atomics <= 1.05 * fewest_atomics
group by all
