-- question: where does an atomic reference per slab page matter, and what do per-CPU references and batching give back?
-- grain: one row per (setting, host_prices, atomic_design, percpu_design, cpus, batch); mean over churn, then over replicates, which are paired
-- atomic_design [design]: takes an atomic reference on the kmem_cache per slab page charged
-- percpu_design [design]: takes a per-CPU one there
-- atomic_ns [ns_per_page_charge]: of the first
-- percpu_ns [ns_per_page_charge]: of the second
-- percpu_gives_back_ns [ns_per_page_charge]: the difference
-- dearer [1]: share by which the atomic makes a page charge dearer
-- batching_gives_back_ns [ns_per_page_charge]: what the per-CPU design saves over the smallest batch swept; null where one was
-- matters_from_cpus [cpus]: fewest CPUs where the atomic costs over 5 % more; null where it never does
-- matters_to_cpus [cpus]: most CPUs where it does; beyond, the counters cost so much that it is lost in them
with priced as (
    select setting, host_prices, host_grade, design, cpus, batch, replicate, avg(ns_per_page_charge) as ns
    from points where design in (select name from designs where cache_ref in ('atomic', 'percpu')) group by all
),
unbatched as (
    select setting, host_prices, design, cpus, replicate, arg_min(ns, batch) as ns
    from priced group by all having min(batch) < max(batch)
),
pairs as (
    select setting, host_prices, host_grade, cpus, batch, a.design as atomic_design, p.design as percpu_design,
           a.ns as atomic, p.ns as percpu, a.ns - p.ns as percpu_gives_back, u.ns - p.ns as batching_gives_back
    from priced as a
    join priced as p using (setting, host_prices, host_grade, cpus, batch, replicate)
    left join unbatched as u
    on (u.setting, u.host_prices, u.design, u.cpus, u.replicate) = (setting, host_prices, p.design, cpus, replicate)
    where a.design in (select name from designs where cache_ref = 'atomic')
      and p.design in (select name from designs where cache_ref = 'percpu')
),
twins as (
    select setting, host_prices, host_grade, atomic_design, percpu_design, cpus, batch,
           avg(atomic) as atomic_ns, half_width(atomic) as atomic_ns_pm,
           avg(percpu) as percpu_ns, half_width(percpu) as percpu_ns_pm,
           avg(percpu_gives_back) as percpu_gives_back_ns, half_width(percpu_gives_back) as percpu_gives_back_ns_pm,
           percpu_gives_back_ns / nullif(percpu_ns, 0) as dearer,
           avg(batching_gives_back) as batching_gives_back_ns,
           half_width(batching_gives_back) as batching_gives_back_ns_pm
    from pairs group by all
)
select *,
       min(cpus) filter (where dearer > 0.05) over alike as matters_from_cpus,
       max(cpus) filter (where dearer > 0.05) over alike as matters_to_cpus
from twins
window alike as (partition by setting, host_prices, atomic_design, percpu_design, batch)
