-- question: how sure is a difference between two designs?
-- grain: one row per (setting, measure, design, against, cpus, batch, churn_hz); pairs share their scenario
-- measure [1]: column of points that is compared
-- against [design]: the design that is subtracted
-- pairs [1]: replicates that both designs saw
-- mean_difference [measure]: mean of design minus against
-- low [measure]: lower end of the 95 % Student's t interval of the mean; null for a single pair
-- high [measure]: upper end
with measured as (
    unpivot (
        select scenario_id, setting, cpus, batch, churn_hz, design,
               lost_bytes_end::double as lost_bytes_end,
               dying_memcgs_end::double as dying_memcgs_end,
               atomics_per_object, ns_per_object
        from points
    )
    on lost_bytes_end, dying_memcgs_end, atomics_per_object, ns_per_object
    into name measure value value
),
differences as (
    select a.setting, a.measure, a.design, b.design as against, a.cpus, a.batch, a.churn_hz,
           count(*) as pairs, avg(a.value - b.value) as mean_difference,
           stddev_samp(a.value - b.value) / sqrt(pairs) as standard_error
    from measured as a join measured as b using (scenario_id, setting, cpus, batch, measure)
    where a.design <> b.design
    group by all
)
select setting, measure, design, against, cpus, batch, churn_hz, pairs, mean_difference,
       mean_difference - t95 * standard_error as low,
       mean_difference + t95 * standard_error as high
from differences left join student_t on degrees = least(pairs - 1, (select max(degrees) from student_t))
