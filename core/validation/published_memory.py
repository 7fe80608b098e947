"""The model's side of published figures about memory: tables of patch series, sizes, utilisation, a selftest.

Nothing is tuned here. Two numbers that the publishers kept to themselves are fitted, on one row only: how often the
hosts of the seven-day table make cgroups, and how long they had been up on day 0. Day 0 itself is no figure: it is the
state that the table starts from.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from statistics import median

import numpy as np
from numpy.typing import NDArray

from core.lifecycle.age import COMPONENT_GROUPS, age
from core.lifecycle.life import KIB
from core.lifecycle.memory import by_component, memcg_bytes, memcg_percpu
from core.params import Point
from core.validation.figures import Figure, Tables
from core.workload import Leftover

POINTS: dict[str, tuple[str, ...]] = {  # name -> overrides of the config: the points that `figures` starts from
    # The hosts' size is unpublished: 56 CPUs on 2 nodes is a common server of 2019. Kernel: the series predates the
    # second copy of the statistics that 5.2 got.
    "production": ("workload=web_frontend", "kernel=linux-4.19", "cpus=56", "nodes=2"),
    "web_frontend": ("workload=web_frontend", "kernel=linux-5.3", "nodes=2"),
    "systemd_timers": ("workload=systemd_timers", "kernel=linux-5.3"),
    "containers": ("workload=containers", "kernel=linux-5.3"),
    "desktop": ("workload=desktop", "kernel=linux-5.9", "cpus=16", "duration_s=3600"),
    "selftest": ("workload=web_frontend", "kernel=linux-5.9", "cpus=8", "duration_s=20", "churn_hz=1.5"),
    "5.9": ("kernel=linux-5.9",),
    "5.15": ("kernel=linux-5.15",),
    "6.19": ("kernel=linux-6.19",),
}
PATCH_SERIES = "v4-v7"  # of published_dying.csv: the other one, v1-v3, is of other kernels and hosts
DAY_S, MB = 86400.0, 1e6
SPARE_DAYS = 2.0  # simulated beyond the table, for hosts that were up before its day 0
FIT_REPLICATES, REPLICATES = 8, 32  # over which a trajectory is averaged
CHURN_HZ = (0.002, 0.5)  # where the fit looks
UP_DAYS = np.linspace(0.0, SPARE_DAYS, 41)  # and what for
BOOT_RELEASE_MB = 50.0  # "almost 50Mb immediately": memcgs of systemd's start, 20190417215434.25897-1-guro@fb.com
SLAB_PARTS = ("slab_objects", "slab_waste", "objcg_vectors")
HOST_CPUS = (16, 32, 64)  # assumption: of the three kinds of servers over which utilisation is read


def figures(tables: Tables, points: Mapping[str, Point]) -> list[Figure]:
    """Return all figures; `points` are those of POINTS, `tables` must have `published_dying`."""
    return [
        *_seven_days(tables, points["production"]),
        *_sizes(points),
        *_utilisation(points),
        *_sharing(points["desktop"], points["web_frontend"]),
        *_dead_cgroups(points["selftest"]),
    ]


def _seven_days(tables: Tables, point: Point) -> list[Figure]:
    rows = [row for row in tables["published_dying"] if row["series"] == PATCH_SERIES]
    days = np.array([float(row["day"]) for row in rows])
    original = np.array([float(row["original_dying"]) for row in rows])
    churn_hz, up_days = fit_churn(point, days, original)
    lives = {
        design: _trajectory(replace(point, design=design, churn_hz=churn_hz), days + up_days, REPLICATES)
        for design in ("page_ref", "reparent_percpu", "unaccounted")
    }
    (dying, held), (patched, held_patched), (unaccounted, _) = lives.values()
    released_mb = BOOT_RELEASE_MB + (held - held_patched) / MB
    later = days > 0

    def figure(name: str, unit: str, model: float) -> Figure:
        return Figure("published", name, PATCH_SERIES, point.cpus, point.workload.name, unit, float(model))

    return [
        figure("original dying per day", "1/d", np.polyfit(days, dying, 1)[0]),
        figure("patched dying, plateau", "1", patched[later].mean()),
        figure("kmem off dying over patched, plateau", "1", unaccounted[later].mean() / patched[later].mean()),
        *(figure(f"patched dying, day {days[i]:.0f}", "1", patched[i]) for i in np.flatnonzero(later)),
        *(figure(f"memory difference, day {days[i]:.0f}", "MB", released_mb[i]) for i in np.flatnonzero(later)),
    ]


def fit_churn(point: Point, days: NDArray[np.float64], dying: NDArray[np.float64]) -> tuple[float, float]:
    """Least squares of the model's dying memcgs under `page_ref` on a published row: churn (1/s), days up at day 0."""
    low, high = CHURN_HZ
    best = (np.inf, 0.0, 0.0)
    for _ in range(4):
        for churn_hz in np.geomspace(low, high, 7):
            model, _ = _trajectory(
                replace(point, design="page_ref", churn_hz=float(churn_hz)), np.add.outer(UP_DAYS, days), FIT_REPLICATES
            )
            squares = ((model - dying) ** 2).sum(axis=1)
            best = min(best, (float(squares.min()), float(churn_hz), float(UP_DAYS[squares.argmin()])))
        width = (high / low) ** (1 / 4)
        low, high = best[1] / width, best[1] * width
    return best[1], best[2]


def _trajectory(
    point: Point, at_days: NDArray[np.float64], replicates: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Dying memcgs and bytes of memory at the given days since boot, mean over replicates."""
    dying, held = np.zeros(at_days.shape), np.zeros(at_days.shape)
    duration_s = (7.0 + SPARE_DAYS) * DAY_S
    for replicate in range(replicates):
        _, series = age([replace(point, replicate=replicate, duration_s=duration_s)])
        t_days = np.concatenate([[0.0], series["t_s"].astype(np.float64) / DAY_S])
        total = np.sum([series[f"{group}_bytes"] for group in COMPONENT_GROUPS], axis=0)
        dying += np.interp(at_days, t_days, np.concatenate([[0.0], series["dying_memcgs"]])) / replicates
        held += np.interp(at_days, t_days, np.concatenate([[total[0]], total])) / replicates
    return dying, held


def _sizes(points: Mapping[str, Point]) -> list[Figure]:
    """Weight of one memcg where somebody weighed it."""
    percpu = memcg_percpu(points["5.15"].kernel, nodes=2)  # 5.18-rc had 240 B more per CPU; 6.1 has half
    mkdir = by_component(memcg_bytes(points["5.9"].kernel, possible_cpus=128, nodes=2, online=True))
    child = memcg_percpu(points["6.19"].kernel, nodes=1)
    return [
        Figure("published", "statistics per memcg", "5.18-rc", 96, "", "KiB", percpu["memcg_stats"] * 96 / KIB),
        Figure("published", "Percpu per dying memcg", "5.18-rc", 96, "", "KiB", sum(percpu.values()) * 96 / KIB),
        Figure(
            "published", "charged by mkdir", "5.11", 128, "", "B",
            sum(size for name, size in mkdir.items() if name.startswith("memcg_")),
        ),
        Figure("published", "test_percpu_basic", "7.0-rt", 8, "", "B", 1000 * 8 * sum(child.values())),
    ]  # fmt: skip


def _utilisation(points: Mapping[str, Point]) -> list[Figure]:
    hosts = [
        replace(points[name], cpus=cpus)
        for name in ("web_frontend", "systemd_timers", "containers")
        for cpus in HOST_CPUS
    ]
    return [
        Figure(
            "published", f"slab utilisation, {what}", "", 0, "servers", "%",
            100 * median(float(age([replace(host, design=design)])[0]["slab_utilisation_total"][0]) for host in hosts),
        )
        for what, design in (("own kmem_caches", "reparent_percpu"), ("shared", "objcg"))
    ]  # fmt: skip


def _sharing(desktop: Point, web_frontend: Point) -> list[Figure]:
    """What sharing slabs (objcg) saves of what own kmem_caches (reparent_percpu) take."""
    slub, slab = (_saved_percent(replace(desktop, allocator=allocator)) for allocator in ("slub", "slab"))
    web = _saved_percent(replace(web_frontend, cpus=56))
    return [
        Figure("published", "slab memory saved by sharing, SLUB", "5.9", 16, "desktop", "%", slub),
        Figure("published", "slab memory saved by sharing, SLAB", "5.9", 16, "desktop", "%", slab),
        Figure("published", "slab memory saved, SLUB less SLAB", "5.9", 16, "desktop", "%", slub - slab),
        Figure("published", "slab memory saved by sharing, SLUB", "5.3", 56, "web_frontend", "%", web),
    ]


def _saved_percent(point: Point) -> float:
    columns, _ = age([replace(point, design="reparent_percpu"), replace(point, design="objcg")])
    own, shared = np.sum(
        [columns[f"memory_bytes_{whose}_{part}"] for whose in ("live", "dead") for part in SLAB_PARTS], axis=0
    )
    return float(100 * (1 - shared / own))


def _dead_cgroups(point: Point) -> list[Figure]:
    """test_kmem_dead_cgroups: children with 100 negative dentries each are removed; who is dying 20 s later?"""
    dentries = Leftover(private=100, private_turnovers=60, common=0, common_touch=0, common_turnovers=1)
    load = replace(
        point.workload,
        resident_memcgs=0,
        lifetime_s=1.0,
        lifetime_sigma=0.0,
        caches={"dentry": 100},
        leftovers={"dentry": dentries},
    )
    return [
        Figure(
            "published", f"test_kmem_dead_cgroups, {design}", "", 8, "", "1",
            float(age([replace(point, design=design, workload=load)])[0]["dying_memcgs_end"][0]),
        )
        for design in ("page_ref", "reparent_percpu", "objcg")
    ]  # fmt: skip
