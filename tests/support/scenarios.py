"""Random small scenarios, as events of the reference and as the records that `core` replays."""

from dataclasses import dataclass, replace
from random import Random

import numpy as np
from hypothesis import strategies as st

from core.blocks import packed
from core.charge.machine import Machine
from core.events import ALLOC, EVENT, FREE, OFFLINE, ONLINE, SAMPLE, START
from core.keys import resolved
from core.profile import OBJCG_VERSIONS
from core.slabs.heap import CACHE
from tests.reference import charge as reference
from tests.reference.slub import Geometry
from tests.support.points import default_point

KINDS = {"alloc": ALLOC, "free": FREE, "online": ONLINE, "offline": OFFLINE, "start": START, "sample": SAMPLE}
PAGE_BYTES = 4096


def geometries(rule):
    """Slabs of few objects, and limits that few objects reach; 4088 bytes are charged as a whole page."""
    return st.builds(
        Geometry,
        objects=st.integers(1, 4),
        pages=st.sampled_from([1, 2, 4, 8]),
        object_bytes=st.sampled_from([8, 1000, 2040, 4088, 5000]),
        min_partial=st.integers(0, 6 if rule == "arrays" else 2),
        cpu_partial=st.sampled_from([1, 2, 3, 5, 40]) if rule == "arrays" else st.integers(0, 4),
        reclaimable=st.booleans(),
    )


@st.composite
def settings_of_a_lane(draw, **fixed):
    """Any machine and any cross-setting; `fixed` are taken as they are."""
    cpus = draw(st.integers(1, 4))
    depth = draw(st.integers(1, 3))
    rule = draw(st.sampled_from(["off", "objects", "slabs", "arrays"]))
    drawn = {
        "cpus": cpus,
        "nodes": 1 if rule == "arrays" else draw(st.integers(1, min(cpus, 2))),
        "caches": tuple(draw(st.lists(geometries(rule), min_size=1, max_size=3))),
        "partial_rule": rule,
        "page_bytes": PAGE_BYTES,
        "batch": draw(st.integers(1, 12)),
        "stat_batch": draw(st.integers(1, 6)),
        "stock": draw(st.sampled_from([True, True, True, False])),
        "uncharge_batched": draw(st.sampled_from([None, False, True])),
        "depth": depth,
        "v1": draw(st.booleans()),
        "swap_accounting": draw(st.booleans()),
        "protected_levels": draw(st.sampled_from([depth, depth, *range(depth)])),
        "protection_xchg_elided": draw(st.sampled_from([False, False, True])),
        "objcg_as_of": draw(st.sampled_from(OBJCG_VERSIONS)),
        "stock_victim": draw(st.sampled_from(["random", "in_turn"])),
    }
    return reference.Settings(**(drawn | fixed))


@dataclass(frozen=True)
class Scenario:
    """Events with hashes for CPUs, so that any number of CPUs can replay them."""

    events: tuple[tuple, ...]

    def on(self, cpus):
        """The events as the reference reads them, on a machine with so many CPUs."""
        return [(*rest, cpu_hash * cpus // 2**32) for *rest, cpu_hash in self.events]

    def records(self):
        """The events as `core` reads them."""
        records = np.zeros(len(self.events), EVENT)
        for record, (kind, *rest, cpu_hash) in zip(records, self.events, strict=True):
            record["kind"], record["cpu_hash"] = KINDS[kind], cpu_hash
            if kind == "alloc":
                record["object"], record["memcg"], record["cache"], record["early"] = rest
            elif rest:
                record["object" if kind == "free" else "memcg"] = rest[0]
        return records


@st.composite
def scenarios(draw, caches=3):
    """Memcgs that come and go, and objects of theirs (now and then of the root) that are freed before or after that.

    Hypothesis draws how long and how busy it is, and seeds the rest: lists that it draws itself stay too short to
    fill stocks and slabs.
    """
    rng = Random(draw(st.integers(0, 2**32 - 1)))
    memcgs, steps, frees = draw(st.integers(1, 9)), draw(st.integers(1, 120)), draw(st.floats(0.2, 0.6))
    online, live, count = list(range(1, memcgs + 1)), [0], 1
    events = [*(("online", memcg, 0) for memcg in online), ("alloc", 0, 1, 0, False, 0)]
    for _ in range(steps):
        what, cpu_hash, burst = rng.random(), rng.getrandbits(32), rng.randint(1, 4)
        if what < 0.03 and online:
            events.append(("offline", online.pop(rng.randrange(len(online))), cpu_hash))
        elif what < 0.06 or not online:
            memcgs += 1
            online.append(memcgs)
            events.append(("online", memcgs, cpu_hash))
        elif what < 0.06 + frees:
            rng.shuffle(live)
            events += [("free", obj, cpu_hash) for obj in live[:burst]]
            del live[:burst]
        else:
            memcg, cache = rng.choice([*online, *online, *online, 0]), rng.randrange(caches)
            born = range(count, count + burst)
            events += [("alloc", obj, memcg, cache, rng.random() < 0.2, cpu_hash) for obj in born]
            live += born
            count += burst
    if draw(st.booleans()):  # a warm-up
        events.insert(draw(st.integers(0, len(events))), ("start", 0))
    for _ in range(draw(st.integers(0, 2))):
        events.insert(draw(st.integers(0, len(events))), ("sample", 0))
    return Scenario(tuple(events))


def machine(settings, scenario):
    """The scenario on the settings' machine, for `core`."""
    caches = settings.caches
    return Machine(
        packed(scenario.records()),
        np.array([(c.objects, c.pages, c.min_partial, c.cpu_partial) for c in caches], CACHE),
        object_bytes=np.array([c.object_bytes for c in caches], np.int64),
        reclaimable=np.array([c.reclaimable for c in caches]),
        partial_rule=settings.partial_rule,
        page_bytes=settings.page_bytes,
        cpus=settings.cpus,
        nodes=settings.nodes,
    )


DEFAULT = default_point()


def point(design, settings, **changes):
    """The settings as a point of a design, resolved as the charge path gets it."""
    kernel = replace(
        DEFAULT.kernel,
        protection_xchg_elided=settings.protection_xchg_elided,
        uncharge_batched=False,
        stock_victim=settings.stock_victim,
    )
    values = {
        "design": design,
        "cgroup_version": 1 if settings.v1 else 2,
        "kernel": kernel,
        **{
            name: getattr(settings, name)
            for name in (
                "cpus",
                "nodes",
                "batch",
                "stat_batch",
                "stock",
                "uncharge_batched",
                "depth",
                "swap_accounting",
                "protected_levels",
                "objcg_as_of",
            )
        },
    }
    return resolved(replace(DEFAULT, **(values | changes)))
