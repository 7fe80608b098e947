-- question: which assumption moves the answer?
-- grain: one row per (output, key), the strongest first
-- of logarithms: what dying cgroups hold spans orders of magnitude, and one host in a hundred would decide all
with logarithms as (select output, key, ln(1 + a) as a, ln(1 + b) as b, ln(1 + ab) as ab from samples),
scaled as (
    select output, key, a - middle as a, b - middle as b, ab - middle as ab, variance
    from logarithms
    join (
        select output, avg((a + b) / 2) as middle,
            (avg(a * a) + avg(b * b)) / 2 - avg((a + b) / 2) ** 2 as variance
        from logarithms
        group by output
    ) using (output)
),
effects as (
    select output, key, b * (ab - a) / variance as first_order, (a - ab) ** 2 / (2 * variance) as total_order
    from scaled
)
select
    output, key, avg(total_order) as total_order, half_width(total_order) as total_order_pm,
    avg(first_order) as first_order, half_width(first_order) as first_order_pm
from effects
group by output, key
order by output, total_order desc
