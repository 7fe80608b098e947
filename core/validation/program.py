"""A scripted program: what it allocates and frees on which CPU, and what that does to the slabs of a kernel."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from core.blocks import packed
from core.charge.machine import Machine
from core.designs import DESIGNS
from core.events import ALLOC, EVENT, FREE, ROOT, cpu_hash
from core.profile import KernelProfile
from core.slabs.geometry import RECLAIMABLE, slab_geometry
from core.slabs.heap import CACHE


class Program:
    """Events of a program on a machine with `cpus` CPUs and one node; objects are numbers."""

    def __init__(self, profile: KernelProfile, cpus: int, caches: list[str]) -> None:
        self.profile, self.cpus, self.caches = profile, cpus, caches
        self.design = DESIGNS[profile.design]
        self.geometry = [slab_geometry(profile, name, cpus, cpus) for name in caches]
        self._index = {name: i for i, name in enumerate(caches)}
        self._events: list[tuple[int, int, int, int, int, int]] = []
        self._objects = 0

    def __len__(self) -> int:
        return len(self._events)

    def alloc(self, cache: str, cpu: int, memcg: int = ROOT, *, early: bool = False) -> int:
        """Allocate an object; `early`: from the root's cache if the memcg's own does not exist yet."""
        self._events.append((ALLOC, early, self._index[cache], memcg, self._objects, cpu))
        self._objects += 1
        return self._objects - 1

    def free(self, number: int, cpu: int) -> None:
        """Free an object, on any CPU."""
        self._events.append((FREE, 0, 0, ROOT, number, cpu))

    def mark(self, kind: int, memcg: int, cpu: int) -> None:
        """Let a memcg go ONLINE or OFFLINE."""
        self._events.append((kind, 0, 0, memcg, 0, cpu))

    def events(self, stop: int | None = None) -> NDArray[np.void]:
        """Return the first `stop` events, or all, as `core.events.EVENT` records."""
        events = np.array(self._events[:stop], EVENT)
        events["cpu_hash"] = cpu_hash(events["cpu_hash"], self.cpus)
        return events

    def machine(self, stop: int | None = None) -> Machine:
        """Return the machine that the first `stop` events, or all, run on: the sweep's own."""
        limits = [
            (g.objects, g.pages, g.min_partial, g.cpu_partial_objects + g.cpu_partial_slabs) for g in self.geometry
        ]
        return Machine(
            packed(self.events(stop)),
            np.array(limits, CACHE),
            object_bytes=np.array([g.object_bytes for g in self.geometry], np.int64),
            reclaimable=np.array([g.cache in RECLAIMABLE for g in self.geometry]),
            partial_rule=self.profile.cpu_partial_rule,
            page_bytes=self.profile.page_bytes,
            cpus=self.cpus,
            nodes=1,
        )
