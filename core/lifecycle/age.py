"""age(points): dying memcgs, dangling kmem_caches and dead memory of one scenario, design by design, over days."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

from core.columns import Column
from core.designs import DESIGNS, Design
from core.kept import Keyed, latest, some
from core.keys import resolved, seen_by, setting
from core.lifecycle.books import SAMPLES
from core.lifecycle.leftovers import CACHES, DYING, IDS, OBJCGS, OWN_OBJECTS, SLABS, state
from core.lifecycle.life import KIB, SAMPLED, Life, check_books, live
from core.lifecycle.memory import METERS
from core.lifecycle.population import Population, populate
from core.lifecycle.weights import COMPONENTS, Weights, weigh
from core.params import Point
from core.rng import scenario_id
from core.workload import PAGE_CACHE

WHOSE = (("live", "online"), ("dead", "gone"))  # in names of columns, and in words
METER_DOCS = {
    "percpu": "per-CPU memory, /proc/meminfo's Percpu",
    "sreclaimable": "slabs of caches that reclaim shrinks, /proc/meminfo's SReclaimable",
    "sunreclaim": "other slabs, /proc/meminfo's SUnreclaim",
}

COLUMNS: dict[str, Column] = {
    "life_id": Column("str", "1", "names the rows of series that the point shares with others"),
    "dying_memcgs_end": Column("int64", "1", "memcgs that are offline and not freed, at the end"),
    "dying_memcgs_mean": Column("float64", "1", "the same, mean over time"),
    "zombie_share": Column("float64", "1", "share of units gone that left a dying memcg behind"),
    "dangling_kmem_caches_end": Column("int64", "1", "per-memcg kmem_caches that outlive their memcg, at the end"),
    "reparented_objcgs_end": Column("int64", "1", "objcgs that outlive their memcg, at the end"),
    "live_memcgs_end": Column("int64", "1", "memcgs online at the end, resident ones included"),
    "live_memcgs_mean": Column("float64", "1", "the same, mean over time"),
    "num_cgroups_end": Column("int64", "1", "as /proc/cgroups says of memory: online, dying and the root, at the end"),
    "visited_memcgs_end": Column(
        "int64", "1", "memcgs that a reclaim walk, or the root's memory.stat before 5.2 and on cgroup v1, visits"
    ),
    "memcg_ids_end": Column("int64", "1", "ids in use of 65,535, past which mkdir fails: online or swapped out"),
    "dead_bytes_end": Column("int64", "B", "all that gone memcgs hold, their cached files aside, at the end"),
    "dead_bytes_mean": Column("float64", "B", "the same, mean over time"),
    "dead_page_cache_bytes_end": Column("int64", "B", "cached files charged to gone memcgs; in no other column"),
    "total_bytes_end": Column("int64", "B", "sum of all memory_bytes_*"),
    "lost_bytes_end": Column("int64", "B", "held by gone memcgs, less what `unaccounted` holds for them, at the end"),
    "lost_bytes_mean": Column("float64", "B", "the same, mean over time"),
    "out_of_memory_s": Column("float64", "s", "when nothing is left for the page cache; inf: not in this time"),
    "slab_utilisation_live": Column("float64", "1", "bytes of objects per byte of slab, online memcgs"),
    "slab_utilisation_total": Column("float64", "1", "bytes of objects per byte of slab, leftovers included"),
    "reclaim_turnovers": Column("float64", "1", "times that reclaim turned the page cache over"),
    "inherited_bytes_mean": Column("float64", "B", "reuse_dead: charges that a new cgroup takes over, mean"),
    "over_half_limit_share": Column("float64", "1", "reuse_dead: new cgroups that start over half their limit, share"),
    "forced_reclaims_per_memcg": Column("float64", "1", "reuse_dead: new cgroups that must first reclaim, share"),
    "forced_reclaim_bytes": Column("float64", "B", "reuse_dead: reclaimed so, over the whole time"),
    **{
        f"{meter}_bytes_{whose}": Column("int64", "B", f"{doc}: {memcgs} memcgs, at the end")
        for meter, doc in METER_DOCS.items()
        for whose, memcgs in WHOSE
    },
    **{
        f"memory_bytes_{whose}_{name}": Column("int64", "B", f"{doc}: {memcgs} memcgs, at the end")
        for whose, memcgs in WHOSE
        for name, doc in COMPONENTS.items()
    },
}

# in the series
COMPONENT_GROUPS = (
    "memcg",
    "cgroup",
    "kernfs",
    "kmem_cache",
    "objcg",
    "page_list",
    "list_lru",
    "slab",
)

SERIES_COLUMNS: dict[str, Column] = {
    "life_id": Column("str", "1", "the same in every row of points whose lifecycle this is"),
    "design": Column("str", "1", "accounting design"),
    "kernel": Column("str", "1", "kernel profile"),
    "cpus": Column("int64", "1", "online CPUs"),
    "t_s": Column("float64", "s", "simulated time"),
    "live_memcgs": Column("int64", "1", "memcgs online, resident ones included"),
    "dying_memcgs": Column("int64", "1", "memcgs that are offline and not freed"),
    "dangling_kmem_caches": Column("int64", "1", "per-memcg kmem_caches that outlive their memcg"),
    "num_cgroups": Column("int64", "1", "as /proc/cgroups says of memory: online, dying and the root"),
    "dead_bytes": Column("int64", "B", "all that gone memcgs hold, their cached files aside"),
    "lost_bytes": Column("int64", "B", "held by gone memcgs, less what `unaccounted` holds for them"),
    **{f"{meter}_bytes": Column("int64", "B", f"{doc}: of memcgs") for meter, doc in METER_DOCS.items()},
    **{f"{name}_bytes": Column("int64", "B", f"components {name}*, of memcgs") for name in COMPONENT_GROUPS},
}

AgeRow = dict[str, float | str]
Samples = dict[str, NDArray[np.generic]]


def age(points: Sequence[Point]) -> tuple[Samples, Samples]:
    """Walk one scenario through all its points; returns `(COLUMNS, SERIES_COLUMNS)`.

    points: of one scenario. Point columns have shape `[points]`; the series is in long form, SAMPLES rows for each
    design, kernel and machine among the points. Raises AssertionError if the books do not balance.
    """
    points = [resolved(point) for point in points]
    population = _populated(Keyed(setting(points[0], "scenario"), seen_by(points[0], "scenario")))
    lives: dict[Hashable, Life] = {}

    def life(point: Point, machine: Hashable, design: str) -> Life:
        key = (machine, setting(DESIGNS[design], "lifecycle"))
        if key not in lives:
            traits = seen_by(DESIGNS[design], "lifecycle")
            weights = _weighed(Keyed((key, setting(point, "weight")), (seen_by(point, "weight"), traits)))
            lives[key] = live(seen_by(point, "lifecycle"), traits, weights, population)
            check_books(lives[key], point)
        return lives[key]

    found: dict[Hashable, int] = {}  # what is alike in kernel, machine and design is one row, told once
    which: list[int] = []
    rows: list[AgeRow] = []
    series: list[Samples] = []
    for point in points:
        machine = setting(point, "lifecycle")
        number = found.setdefault((machine, point.kernel.name, point.design), len(rows))
        which.append(number)
        if number == len(rows):
            mine, floor = life(point, machine, point.design), life(point, machine, "unaccounted")
            row, samples = _told(point, population, mine, floor)
            content = repr((scenario_id(point), point.design, point.kernel.name, machine))
            life_id = blake2b(content.encode(), digest_size=8).hexdigest()
            rows.append({"life_id": life_id, **row})
            series.append({"life_id": np.full(SAMPLES, life_id)} | samples)
    return (
        {name: np.array([row[name] for row in rows], dtype=column.dtype)[which] for name, column in COLUMNS.items()},
        {name: np.concatenate([each[name] for each in series]) for name in SERIES_COLUMNS},
    )


@some(256)  # some kilobytes each; more than there are machines and designs in most plans
def _weighed(of: Keyed[tuple[Point, Design]]) -> Weights:
    return weigh(*of.of)


@latest()  # of a scenario that is cut by machine, parts are worked on one after the other
def _populated(scenario: Keyed[Point]) -> Population:
    return populate(scenario.of)


def _told(point: Point, population: Population, mine: Life, floor: Life) -> tuple[AgeRow, Samples]:
    """Tell a life in columns: a row of the points, and the rows of the series."""
    load, design = point.workload, DESIGNS[point.design]
    online = population.online[SAMPLED] * load.memcgs_per_unit + load.resident_memcgs
    dying = mine.counts[:, DYING] * load.levels_per_unit
    there = online + dying + 1
    dangling = _dangling(mine.counts, len(load.leftovers)) * (design.slab_pins == "kmem_cache")
    held = mine.live + mine.dead
    dead, lost = mine.dead.sum(axis=(1, 2)), (mine.dead - floor.dead).sum(axis=(1, 2))
    row: AgeRow = {
        "dying_memcgs_end": dying[-1],
        "dying_memcgs_mean": mine.mean_counts[DYING] * load.levels_per_unit,
        "zombie_share": mine.zombie_share,
        "dangling_kmem_caches_end": dangling[-1],
        "reparented_objcgs_end": mine.counts[-1, OBJCGS] * (design.charges == "bytes"),
        "live_memcgs_end": online[-1],
        "live_memcgs_mean": float(population.online.mean()) * load.memcgs_per_unit + load.resident_memcgs,
        "num_cgroups_end": there[-1],
        "visited_memcgs_end": there[-1],
        "memcg_ids_end": online[-1] + 1 + mine.counts[-1, IDS],
        "dead_bytes_end": dead[-1],
        "dead_bytes_mean": mine.mean_dead_bytes,
        "dead_page_cache_bytes_end": _files(mine.counts[-1], list(load.leftovers)) * load.file_kib * KIB,
        "total_bytes_end": held[-1].sum(),
        "lost_bytes_end": lost[-1],
        "lost_bytes_mean": mine.mean_dead_bytes - floor.mean_dead_bytes,
        "out_of_memory_s": mine.out_of_memory_s,
        "slab_utilisation_live": _utilisation(mine.live[-1]),
        "slab_utilisation_total": _utilisation(held[-1]),
        "reclaim_turnovers": mine.turnovers,
        "inherited_bytes_mean": mine.fairness.inherited_bytes,
        "over_half_limit_share": mine.fairness.over_half,
        "forced_reclaims_per_memcg": mine.fairness.forced_reclaims,
        "forced_reclaim_bytes": mine.fairness.forced_bytes,
    }
    for (whose, _), by_part in zip(WHOSE, (mine.live[-1], mine.dead[-1]), strict=True):
        row |= {f"{meter}_bytes_{whose}": size for meter, size in zip(METERS, by_part.sum(axis=0), strict=True)}
        row |= {
            f"memory_bytes_{whose}_{name}": size for name, size in zip(COMPONENTS, by_part.sum(axis=1), strict=True)
        }
    return row, {
        "design": np.full(SAMPLES, point.design),
        "kernel": np.full(SAMPLES, point.kernel.name),
        "cpus": np.full(SAMPLES, point.cpus),
        "t_s": np.arange(1, SAMPLES + 1) * (point.duration_s / SAMPLES),
        "live_memcgs": online,
        "dying_memcgs": dying,
        "dangling_kmem_caches": dangling,
        "num_cgroups": there,
        "dead_bytes": dead,
        "lost_bytes": lost,
        **{f"{meter}_bytes": held[:, :, i].sum(axis=1) for i, meter in enumerate(METERS)},
        **{f"{name}_bytes": held[:, _members(name)].sum(axis=(1, 2)) for name in COMPONENT_GROUPS},
    }


def _dangling(counts: NDArray[np.int64], kinds: int) -> NDArray[np.int64]:
    of_caches = counts[:, state(CACHES, 0, kinds) : state(SLABS, 0, kinds)]
    return np.asarray(of_caches.sum(axis=1), dtype=np.int64)


def _files(counts: NDArray[np.int64], kinds: list[str]) -> int:
    return int(counts[state(OWN_OBJECTS, kinds.index(PAGE_CACHE), len(kinds))]) if PAGE_CACHE in kinds else 0


def _utilisation(held: NDArray[np.int64]) -> float:
    names = list(COMPONENTS)
    objects, waste = held[names.index("slab_objects")].sum(), held[names.index("slab_waste")].sum()
    return float(objects / (objects + waste)) if objects + waste else 1.0  # no slab, no waste


def _members(group: str) -> list[int]:
    return [i for i, name in enumerate(COMPONENTS) if name.startswith(group)]
