-- question: how many shared atomics and locks does each design spend, per page charged and for the same work?
-- grain: one row per (setting, design, cpus, batch, churn_hz); mean over replicates
-- atomics_per_charge [atomics_per_page_charge]: of page counters, by charges and drained stocks, per page charge
-- atomics_per_uncharge [atomics_per_page_charge]: of page counters, by uncharges, per page uncharge
-- refs_per_page [atomics_per_page_charge]: atomics of references, per page charge and its uncharge
-- locks_per_page [atomics_per_page_charge]: acquisitions of locks, per page charge and its uncharge
select setting, design, cpus, batch, churn_hz,
       atomics_per_page_charge, atomics_per_page_charge_pm, atomics_per_object, atomics_per_object_pm,
       atomics_per_charge, atomics_per_charge_pm, atomics_per_uncharge, atomics_per_uncharge_pm,
       refs_per_page, refs_per_page_pm, locks_per_page, locks_per_page_pm,
       shared_atomics, shared_atomics_pm, percpu_ops, percpu_ops_pm
from cells where design in (select name from designs where accounts)
