"""The figures of tables and charts: what each is called, and when two means are told apart."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Measure:
    """A mean per design that is small where a design is good. title: in a sentence. head: over a column of a table."""

    title: str
    head: str


TOLD_APART = 0.01  # share: nobody changes a kernel for one per cent
TIE_RULE = (
    "Not told apart: the 95 % interval of the paired difference is not wholly beyond 1 % of the larger mean"
    " (with one replicate, the difference itself)."
)

MEASURES = {
    "dead_bytes_end": Measure("memory held for gone memcgs", "dead memory"),
    "total_bytes_end": Measure("memory held in all", "total memory"),
    "lost_bytes_end": Measure("dead memory beyond no accounting", "lost memory"),
    "dying_memcgs": Measure("dying memcgs", "dying memcgs"),
    "dying_memcgs_end": Measure("dying memcgs", "dying memcgs"),
    "percpu_bytes_dead": Measure("Percpu of gone memcgs", "Percpu"),
    "sreclaimable_bytes_dead": Measure("SReclaimable of gone memcgs", "SReclaimable"),
    "sunreclaim_bytes_dead": Measure("SUnreclaim of gone memcgs", "SUnreclaim"),
    "num_cgroups_end": Measure("num_cgroups of /proc/cgroups", "num_cgroups"),
    "visited_memcgs_end": Measure("memcgs that a reclaim walk visits", "walk visits"),
    "stocked_bytes_mean": Measure("memory charged ahead in stocks", "in stocks"),
    "atomics_per_page_charge": Measure("atomics per page charge and its uncharge", "atomics/page"),
    "atomics_per_object": Measure("atomics per object", "atomics/object"),
    "atomics_per_charge": Measure("atomics of page counters per charge", "per charge"),
    "atomics_per_uncharge": Measure("atomics of page counters per uncharge", "per uncharge"),
    "refs_per_page": Measure("atomics of references per page charge and its uncharge", "refs/page"),
    "locks_per_page": Measure("locks per page charge and its uncharge", "locks/page"),
    "ns_per_page_charge": Measure("time per page charge", "time/page"),
    "ns_per_object": Measure("time per object", "time/object"),
    "rmdir_caller_us": Measure("CPU time until rmdir(2) returns", "rmdir waits"),
    "offline_background_us": Measure("CPU time of a removal behind rmdir's back", "background"),
    "offline_work_us": Measure("CPU time of a removal", "rmdir work"),
    "inherited_bytes_mean": Measure("charges that a new memcg takes over", "inherited"),
    "over_half_limit_share": Measure("new memcgs that start over half their limit", ">half limit"),
}
COMPARED = ("dead_bytes_end", "atomics_per_object", "ns_per_object")  # in sql/crossover.sql and sql/pareto.sql
# what is shown over the whole grid, and so held; other figures of cells are worked out for the places that are shown
OVER_GRID = (*COMPARED, "dying_memcgs_end", "atomics_per_page_charge", "stocked_bytes_mean")


def title(measure: str) -> str:
    """What a measure is called in a sentence; a column that is none goes by its name."""
    return MEASURES[measure].title if measure in MEASURES else measure


def head(measure: str) -> str:
    """What stands over its column."""
    return MEASURES[measure].head if measure in MEASURES else measure
