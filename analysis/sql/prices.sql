-- question: where does an atomic reference per slab page matter, and what do per-CPU references and batching give back?
-- grain: one row per (setting, host_prices, atomic_design, percpu_design, cpus, batch); mean over churn and replicates
-- atomic_design [design]: takes an atomic reference on the kmem_cache per slab page charged
-- percpu_design [design]: takes a per-CPU one there
-- atomic_ns [ns_per_page_charge]: of the first
-- percpu_ns [ns_per_page_charge]: of the second
-- percpu_gives_back_ns [ns_per_page_charge]: the difference
-- dearer [1]: share by which the atomic makes a page charge dearer
-- batching_gives_back_ns [ns_per_page_charge]: what the per-CPU design saves over the smallest batch swept
-- matters_from_cpus [cpus]: fewest CPUs where the atomic costs over 5 % more; null where it never does
-- matters_to_cpus [cpus]: most CPUs where it does; beyond, the counters cost so much that it is lost in them
with priced as (
    select setting, host_prices, host_grade, design, cpus, batch, avg(ns_per_page_charge) as ns
    from points group by all
),
unbatched as (
    select setting, host_prices, design, cpus, arg_min(ns, batch) as ns from priced group by all
),
twins as (
    select setting, host_prices, host_grade, cpus, batch,
           a.design as atomic_design, p.design as percpu_design, a.ns as atomic_ns, p.ns as percpu_ns,
           atomic_ns - percpu_ns as percpu_gives_back_ns,
           percpu_gives_back_ns / nullif(percpu_ns, 0) as dearer,
           u.ns - percpu_ns as batching_gives_back_ns
    from priced as a
    join priced as p using (setting, host_prices, host_grade, cpus, batch)
    join unbatched as u on (u.setting, u.host_prices, u.design, u.cpus) = (p.setting, p.host_prices, p.design, p.cpus)
    where a.design in (select name from designs where cache_ref = 'atomic')
      and p.design in (select name from designs where cache_ref = 'percpu')
)
select *,
       min(cpus) filter (where dearer > 0.05) over alike as matters_from_cpus,
       max(cpus) filter (where dearer > 0.05) over alike as matters_to_cpus
from twins
window alike as (partition by setting, host_prices, atomic_design, percpu_design, batch)
