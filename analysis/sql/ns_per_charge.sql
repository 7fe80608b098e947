-- question: what does accounting cost in time, per slab page and per object, on which price table?
-- grain: one row per (setting, host_prices, design, cpus, batch, churn_hz); mean over replicates
select setting, host_prices, any_value(host_grade) as host_grade, design, cpus, batch, churn_hz,
       avg(ns_per_page_charge) as ns_per_page_charge,
       avg(ns_per_page_charge_low) as ns_per_page_charge_low,
       avg(ns_per_page_charge_high) as ns_per_page_charge_high,
       avg(ns_per_page_charge_uncontended) as ns_per_page_charge_uncontended,
       avg(ns_per_object) as ns_per_object,
       avg(ns_per_object_low) as ns_per_object_low,
       avg(ns_per_object_high) as ns_per_object_high,
       avg(ns_per_object_uncontended) as ns_per_object_uncontended,
       min(knee_cpus) as knee_cpus
from points where design in (select name from designs where accounts)
group by all
