"""age(points): dying memcgs, dangling kmem_caches and lost memory of one scenario, design by design, over days."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

from core.columns import Column
from core.designs import DESIGNS
from core.keys import seen_by, setting
from core.lifecycle.leftovers import CACHES, DYING, OBJCGS, SLABS, state
from core.lifecycle.life import Life, check_books, live
from core.lifecycle.pinning import SAMPLES
from core.lifecycle.population import STEPS, populate
from core.lifecycle.weights import COMPONENTS
from core.params import Point
from core.rng import scenario_id

COLUMNS: dict[str, Column] = {
    "life_id": Column("str", "1", "names the rows of series that the point shares with others"),
    "dying_memcgs_end": Column("int64", "1", "memcgs that are offline and not freed, at the end"),
    "dying_memcgs_mean": Column("float64", "1", "the same, mean over time"),
    "dangling_kmem_caches_end": Column("int64", "1", "per-memcg kmem_caches that outlive their memcg, at the end"),
    "reparented_objcgs_end": Column("int64", "1", "objcgs that outlive their memcg, at the end"),
    "live_memcgs_end": Column("int64", "1", "memcgs online at the end, resident ones included"),
    "live_memcgs_mean": Column("float64", "1", "the same, mean over time"),
    "total_bytes_end": Column("int64", "B", "sum of all memory_bytes_*"),
    "lost_bytes_end": Column("int64", "B", "held by gone memcgs, less what `unaccounted` holds for them, at the end"),
    "lost_bytes_mean": Column("float64", "B", "the same, mean over time"),
    "slab_utilisation_live": Column("float64", "1", "bytes of objects per byte of slab, online memcgs"),
    "slab_utilisation_total": Column("float64", "1", "bytes of objects per byte of slab, leftovers included"),
    "reclaim_turnovers": Column("float64", "1", "times that reclaim turned the page cache over"),
    "inherited_bytes_mean": Column("float64", "B", "reuse_dead: charges that a new cgroup takes over, mean"),
    "over_half_limit_share": Column("float64", "1", "reuse_dead: new cgroups that start over half their limit, share"),
    "forced_reclaims_per_memcg": Column("float64", "1", "reuse_dead: new cgroups that must first reclaim, share"),
    "forced_reclaim_bytes": Column("float64", "B", "reuse_dead: reclaimed so, over the whole time"),
    **{
        f"memory_bytes_{whose}_{name}": Column("int64", "B", f"{doc}: {memcgs} memcgs, at the end")
        for whose, memcgs in (("live", "online"), ("dead", "gone"))
        for name, doc in COMPONENTS.items()
    },
}

GROUPS = ("memcg", "cgroup", "kernfs", "kmem_cache", "objcg", "page_list", "slab")  # of components, in the series

SERIES_COLUMNS: dict[str, Column] = {
    "life_id": Column("str", "1", "the same in every row of points whose lifecycle this is"),
    "design": Column("str", "1", "accounting design"),
    "kernel": Column("str", "1", "kernel profile"),
    "cpus": Column("int64", "1", "online CPUs"),
    "t_s": Column("float64", "s", "simulated time"),
    "live_memcgs": Column("int64", "1", "memcgs online, resident ones included"),
    "dying_memcgs": Column("int64", "1", "memcgs that are offline and not freed"),
    "dangling_kmem_caches": Column("int64", "1", "per-memcg kmem_caches that outlive their memcg"),
    "lost_bytes": Column("int64", "B", "held by gone memcgs, less what `unaccounted` holds for them"),
    **{f"{name}_bytes": Column("int64", "B", f"components {name}*, online and gone memcgs") for name in GROUPS},
}


def age(points: Sequence[Point]) -> tuple[dict[str, NDArray[np.generic]], dict[str, NDArray[np.generic]]]:
    """Walk one scenario through all its points; returns `(COLUMNS, SERIES_COLUMNS)`.

    points: of one scenario. Point columns have shape `[points]`; the series is in long form, SAMPLES rows for each
    design, kernel and machine among the points. Raises AssertionError if the books do not balance.
    """
    population = populate(seen_by(points[0], "scenario"))
    load = points[0].workload
    lives: dict[Hashable, Life] = {}

    def life(point: Point, design: str) -> Life:
        key = (setting(point, "lifecycle"), setting(DESIGNS[design], "lifecycle"))
        if key not in lives:
            lives[key] = live(seen_by(point, "lifecycle"), seen_by(DESIGNS[design], "lifecycle"), population)
            check_books(lives[key], point)
        return lives[key]

    sampled_live = population.online[STEPS // SAMPLES - 1 :: STEPS // SAMPLES] + load.resident_memcgs
    live_mean = float(population.online.mean()) + load.resident_memcgs
    rows: list[dict[str, float | str]] = []
    series: list[dict[str, NDArray[np.generic]]] = []
    seen: set[str] = set()
    for point in points:
        mine, floor = life(point, point.design), life(point, "unaccounted")
        lost = (mine.dead - floor.dead).sum(axis=1)
        dangling = _dangling(point, mine.counts)
        rows.append(
            {
                "life_id": _life_id(point),
                "dying_memcgs_end": mine.counts[-1, DYING],
                "dying_memcgs_mean": mine.mean_counts[DYING],
                "dangling_kmem_caches_end": dangling[-1],
                "reparented_objcgs_end": mine.counts[-1, OBJCGS] * (DESIGNS[point.design].charges == "bytes"),
                "live_memcgs_end": sampled_live[-1],
                "live_memcgs_mean": live_mean,
                "total_bytes_end": mine.live[-1].sum() + mine.dead[-1].sum(),
                "lost_bytes_end": lost[-1],
                "lost_bytes_mean": mine.mean_dead_bytes - floor.mean_dead_bytes,
                "slab_utilisation_live": _utilisation(mine.live[-1]),
                "slab_utilisation_total": _utilisation(mine.live[-1] + mine.dead[-1]),
                "reclaim_turnovers": mine.turnovers,
                "inherited_bytes_mean": mine.fairness.inherited_bytes,
                "over_half_limit_share": mine.fairness.over_half,
                "forced_reclaims_per_memcg": mine.fairness.forced_reclaims,
                "forced_reclaim_bytes": mine.fairness.forced_bytes,
                **{f"memory_bytes_live_{name}": mine.live[-1, i] for i, name in enumerate(COMPONENTS)},
                **{f"memory_bytes_dead_{name}": mine.dead[-1, i] for i, name in enumerate(COMPONENTS)},
            }
        )
        if (life_id := _life_id(point)) not in seen:
            seen.add(life_id)
            total = mine.live + mine.dead
            series.append(
                {
                    "life_id": np.full(SAMPLES, life_id),
                    "design": np.full(SAMPLES, point.design),
                    "kernel": np.full(SAMPLES, point.kernel.name),
                    "cpus": np.full(SAMPLES, point.cpus),
                    "t_s": np.arange(1, SAMPLES + 1) * (point.duration_s / SAMPLES),
                    "live_memcgs": sampled_live,
                    "dying_memcgs": mine.counts[:, DYING],
                    "dangling_kmem_caches": dangling,
                    "lost_bytes": lost,
                    **{f"{name}_bytes": total[:, _members(name)].sum(axis=1) for name in GROUPS},
                }
            )
    return (
        {name: np.array([row[name] for row in rows], dtype=column.dtype) for name, column in COLUMNS.items()},
        {name: np.concatenate([each[name] for each in series]) for name in SERIES_COLUMNS},
    )


def _life_id(point: Point) -> str:
    content = repr((scenario_id(point), point.design, point.kernel.name, setting(point, "lifecycle")))
    return blake2b(content.encode(), digest_size=8).hexdigest()


def _dangling(point: Point, counts: NDArray[np.int64]) -> NDArray[np.int64]:
    kinds = len(point.workload.leftovers)
    dangles = DESIGNS[point.design].slab_pins == "kmem_cache"
    of_caches = counts[:, state(CACHES, 0, kinds) : state(SLABS, 0, kinds)]
    return np.asarray(of_caches.sum(axis=1) * dangles, dtype=np.int64)


def _utilisation(components: NDArray[np.int64]) -> float:
    names = list(COMPONENTS)
    objects, waste = components[names.index("slab_objects")], components[names.index("slab_waste")]
    return float(objects / (objects + waste)) if objects + waste else 1.0  # no slab, no waste


def _members(group: str) -> list[int]:
    return [i for i, name in enumerate(COMPONENTS) if name.startswith(group)]
