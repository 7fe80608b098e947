-- question: which charge batch is enough, and what do larger ones hold in stocks?
-- grain: one row per (setting, design, cpus, churn_hz, batch); mean over replicates
-- enough [1]: the smallest batch within 5 % of the fewest atomics per page charge of any batch swept
-- pareto [1]: no other batch has both fewer atomics and less in stocks; null where stocks were not counted
-- saved_share [1]: share of the smallest batch's atomics that it saves
with costs as (
    select setting, design, cpus, churn_hz, batch,
           atomics_per_page_charge, atomics_per_page_charge_pm,
           stocked_bytes_mean, stocked_bytes_mean_pm, out_of_memory
    from cells where design in (select name from designs where accounts)
),
measured as not materialized (
    -- a key of 64 bits, as scenario_id is: joins on texts are slow
    select hash(scenario_id, setting, design, cpus, churn_hz) as events,
           setting, design, cpus, churn_hz, batch, atomics_per_page_charge as atomics
    from points where design in (select name from designs where accounts)
),
unbatched as (
    select events, arg_min(atomics, batch) as unbatched from measured group by events
),
saved as (
    select setting, design, cpus, churn_hz, batch,
           half_width(unbatched - atomics) / nullif(avg(unbatched), 0) as saved_share_pm
    from measured join unbatched using (events) group by all
),
ranked as (
    select *,
           min(batch) filter (atomics_per_page_charge <= 1.05 * fewest) over batches = batch as enough,
           1 - atomics_per_page_charge / nullif(first(atomics_per_page_charge order by batch) over batches, 0) as saved_share
    from (select *, min(atomics_per_page_charge) over (partition by setting, design, cpus, churn_hz) as fewest from costs)
    window batches as (partition by setting, design, cpus, churn_hz)
)
select * exclude (fewest, saved_share_pm), saved_share_pm,
       case when stocked_bytes_mean is not null then not exists (
           from costs as c
           where (c.setting, c.design, c.cpus, c.churn_hz) = (r.setting, r.design, r.cpus, r.churn_hz)
             and c.atomics_per_page_charge <= r.atomics_per_page_charge and c.stocked_bytes_mean <= r.stocked_bytes_mean
             and (c.atomics_per_page_charge < r.atomics_per_page_charge or c.stocked_bytes_mean < r.stocked_bytes_mean)
       ) end as pareto
from ranked as r join saved using (setting, design, cpus, churn_hz, batch)
