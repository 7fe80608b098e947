"""Small scenarios, to be followed object by object."""

from dataclasses import replace

from core.designs import DESIGNS
from core.keys import resolved
from core.lifecycle.life import list_lrus, make_rules
from core.lifecycle.population import populate
from core.lifecycle.weights import weigh
from core.workload import PIN_KINDS, Leftover, Pin, Pins, Pressure
from tests.support.points import default_point

DAY_S = 86400.0
DESIGN_NAMES = ("unaccounted", "page_ref", "reparent_percpu", "page_list", "objcg")


def leftover(**changes):
    """Nothing left behind, but for `changes`."""
    nothing = {"private": 0.0, "private_turnovers": 1.0, "common": 0, "common_touch": 0.0, "common_turnovers": 1.0}
    return Leftover(**nothing | changes)


def pins(**left):
    """Only what `left` says pins memcgs; each is a chance and a mean time, s."""
    return Pins(**{name: Pin(chance=0.0, hold_s=1.0) for name in PIN_KINDS} | left)


def small_point(*, leftovers, load=None, **changes):
    """A day of a host whose memcgs leave `leftovers`; `load` changes the workload, `changes` the point.

    The page cache turns over every six hours, and is too large for anybody's memory to matter. Nothing is mounted.
    """
    point = default_point(workload="web_frontend", kernel="linux-5.2", duration_s=DAY_S, churn_hz=0.01, cpus=4)
    roomy = Pressure(memory_mib=2.0**30, in_use_mib=0.0, refill_mib_s=2.0**30 / (DAY_S / 4))
    workload = replace(
        point.workload,
        **{
            "leftovers": leftovers,
            "resident_memcgs": 0,
            "mounts": 0,
            "mounts_used": 0,
            "pressure": roomy,
            **(load or {}),
        },
    )
    return replace(point, workload=workload, **changes)


def drawn(point):
    """The scenario of a point, and what its design makes of it."""
    point = resolved(point)
    population = populate(point)
    design = DESIGNS[point.design]
    return population, make_rules(point, design, population, weigh(point, design), list_lrus(point, design, population))
