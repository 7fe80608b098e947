-- question: what does accounting cost in time, per slab page and per object, on which price table?
-- grain: one row per (setting, design, cpus, batch, churn_hz); mean over replicates, _low and _high with the ends of the price band
select setting, host_prices, host_grade, design, cpus, batch, churn_hz,
       ns_per_page_charge, ns_per_page_charge_pm, ns_per_page_charge_low, ns_per_page_charge_high,
       ns_per_page_charge_uncontended, ns_per_object, ns_per_object_pm, ns_per_object_low, ns_per_object_high,
       ns_per_object_uncontended, knee_cpus
from cells where design in (select name from designs where accounts)
