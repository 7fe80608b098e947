-- question: how sure is a difference between two designs?
-- grain: one row per (setting, measure, design, against, cpus, batch, churn_hz); pairs share their scenario
-- measure [1]: column of points that is compared
-- against [design]: the design that is subtracted
-- pairs [1]: replicates that both designs saw
-- mean_difference [measure]: mean of design minus against
-- low [measure]: lower end of the 95 % Student's t interval of the mean; null for a single pair
-- high [measure]: upper end
-- told [1]: 1: design has more; -1: less; 0: not told apart, as the interval (of a single pair: the difference) is not wholly beyond 1 % of the larger mean
with names as (select list(distinct design order by design) as names from points),
seen as not materialized (
    -- a key of 64 bits, as scenario_id is, and a number for a design: joins and groups on texts are slow
    select hash(scenario_id, setting, cpus, batch) as events, setting, cpus, batch, churn_hz,
           list_position((select names from names), design)::utinyint as n,
           p.dead_bytes_end::double as dead_bytes_end,
           p.total_bytes_end::double as total_bytes_end,
           p.dying_memcgs_end::double as dying_memcgs_end,
           p.atomics_per_page_charge::double as atomics_per_page_charge,
           p.atomics_per_object::double as atomics_per_object,
           p.ns_per_object::double as ns_per_object,
           p.offline_work_us::double as offline_work_us
    from points as p
),
rivals as (
    select a.setting, a.n, b.n as against_n, a.cpus, a.batch, a.churn_hz, count(*) as pairs,
           [
               rival('dead_bytes_end', a.dead_bytes_end, b.dead_bytes_end),
               rival('total_bytes_end', a.total_bytes_end, b.total_bytes_end),
               rival('dying_memcgs_end', a.dying_memcgs_end, b.dying_memcgs_end),
               rival('atomics_per_page_charge', a.atomics_per_page_charge, b.atomics_per_page_charge),
               rival('atomics_per_object', a.atomics_per_object, b.atomics_per_object),
               rival('ns_per_object', a.ns_per_object, b.ns_per_object),
               rival('offline_work_us', a.offline_work_us, b.offline_work_us)
           ] as measures
    from seen as a join seen as b using (events, cpus, batch)  -- a condition on those is one on both sides
    where a.n < b.n and b.n > 1  -- which spares the join to hold the first design
    group by all
),
one_way as (
    select names[n] as design, names[against_n] as against, rivals.* exclude (n, against_n, measures),
           unnest(measures, recursive := true)
    from rivals, names
),
both_ways as (
    from one_way
    union all by name
    select * replace (against as design, design as against, theirs as mine, mine as theirs) from one_way
)
select setting, measure, design, against, cpus, batch, churn_hz, pairs,
       mine - theirs as mean_difference,
       mean_difference - t95(pairs - 1) * error as low,
       mean_difference + t95(pairs - 1) * error as high,
       told(mine, theirs, t95(pairs - 1) * error) as told
from both_ways
where mine is not null and theirs is not null
