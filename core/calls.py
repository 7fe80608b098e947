"""The charge-path functions that a kernel calls for a program pinned to one CPU, counted.

The program (conf/reference/README.md): in a cgroup whose kmem_caches exist already, create empty files on tmpfs;
unlink them; then open and close pipes. Objects go to slabs on `core.slub`, slabs or bytes to the stock on
`core.stock` and `core.objcg`: the sweep's own charge path, held against a kernel's function profiler.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from core.designs import DESIGNS
from core.designs.objcg import AS_OF
from core.events import ALLOC, EVENT, FREE
from core.geometry import slab_geometry
from core.memory import kmalloc
from core.objcg import run_objcg
from core.profile import KernelProfile
from core.slub import CACHE, OWN, PARTIAL_OBJECTS, PARTIAL_OFF, PARTIAL_SLABS, SHARED, run_slub
from core.stock import DIRECT_FREE, run_stock

MEMCG = 1
GRACE_PERIOD_US = 12_000  # at 250 Hz a tick each to start it, to the first scan, to the callback (kernel/rcu/tree.c)
FILE_US = 27  # to create, or to unlink, a file: 675 files of `create` were not freed yet when it ended (kmem_cache_free of
PIPE_US = 7.5  # 5.2.1), 2405 pipes of `pipe20000`; what waits is the work of 1 to 2 grace periods, 1.5 in the mean
PIPE_INODE_INFO_BYTES = 152  # struct pipe_inode_info, fs/pipe.c, 5.2 to 5.9; kmalloc'ed and accounted
PIPE_BUFFERS_BYTES = 16 * 40  # PIPE_DEF_BUFFERS of struct pipe_buffer
PIPE_PHASE = re.compile(r"pipe(\d+)")


@dataclass(frozen=True)
class Calls:
    """One phase. Walks are of the page counters; an atomic is one level of a walk (page_counter_cancel())."""

    charges: int
    charge_walks: int
    uncharges: int
    uncharge_walks: int
    uncharge_atomics: int


def count_calls(profile: KernelProfile, cpus: int, depth: int, files: int, phases: tuple[str, ...]) -> dict[str, Calls]:
    """Run the program to the end of each phase; `phases` are 'create', 'unlink' and 'pipeN' for N pipes.

    Raises ValueError for a phase that is none of these.
    """
    program = _Program(profile)
    ends = [0]
    for phase in phases:
        program.run(phase, files)
        ends.append(len(program.events))
    so_far = [_count(profile, cpus, np.array(program.events[:end], EVENT), program.caches) for end in ends]
    levels = depth + 1
    return {
        phase: Calls(*map(int, after - before), uncharge_atomics=int(levels * (after - before)[-1]))
        for phase, (before, after) in zip(phases, pairwise(so_far), strict=True)
    }


class _Program:
    """Its events on CPU 0. What RCU frees is freed in one go when a grace period that began after it has ended."""

    def __init__(self, profile: KernelProfile) -> None:
        kmallocs = [kmalloc(size, profile.page_bytes)[0] for size in (PIPE_INODE_INFO_BYTES, PIPE_BUFFERS_BYTES)]
        self.caches = ["dentry", "shmem_inode_cache", "filp", "inode_cache", *kmallocs]
        self.events: list[tuple[int, int, int, int, int, int]] = []
        self.objects = 0
        self.files: list[list[int]] = []
        self.waiting: list[int] = []  # for the grace period in progress to end
        self.queued: list[int] = []  # for the next one
        self.clock_us = 0.0

    def run(self, phase: str, files: int) -> None:
        """Append a phase; a pause of several grace periods follows the second one, none the others."""
        pipes = PIPE_PHASE.fullmatch(phase)
        if phase == "create":
            for _ in range(files):
                dentry, inode, file = self._alloc("dentry"), self._alloc("shmem_inode_cache"), self._alloc("filp")
                self.files.append([dentry, inode])
                self._after(FILE_US, rcu=[file])
        elif phase == "unlink":
            for objects in self.files:
                self._after(FILE_US, rcu=objects)
            self.files = []
            self._free(self.waiting + self.queued)
            self.waiting, self.queued = [], []
        elif pipes:
            inner = [name for name in self.caches if name not in ("shmem_inode_cache", "filp")]
            for _ in range(int(pipes[1])):
                pipe = [self._alloc(name) for name in inner]
                ends = [self._alloc("filp"), self._alloc("filp")]
                self._free(pipe)  # at once: DCACHE_NORCU (5.2), free_inode_nonrcu() of pipefs
                self._after(PIPE_US, rcu=ends)
        else:
            raise ValueError(f"phase must be create, unlink or pipe and a number (got {phase!r}); correct ftrace_calls.csv")

    def _alloc(self, cache: str) -> int:
        self.events.append((ALLOC, 0, self.caches.index(cache), MEMCG, self.objects, 0))
        self.objects += 1
        return self.objects - 1

    def _free(self, numbers: list[int]) -> None:
        self.events += [(FREE, 0, 0, 0, number, 0) for number in numbers]

    def _after(self, us: float, rcu: list[int]) -> None:
        before, self.clock_us = self.clock_us, self.clock_us + us
        self.queued += rcu
        if self.clock_us // GRACE_PERIOD_US > before // GRACE_PERIOD_US:
            self._free(self.waiting)
            self.waiting, self.queued = self.queued, []


def _count(profile: KernelProfile, cpus: int, events: NDArray[np.void], caches: list[str]) -> NDArray[np.int64]:
    """Charges, their walks, uncharges and their walks, from the first event on."""
    design = DESIGNS[profile.design]
    if not events.size:
        return np.zeros(4, np.int64)
    if design.charges == "bytes":
        version = AS_OF[max((name for name in AS_OF if _number(name) <= _number(profile.version)), key=_number)]
        sizes = np.array([profile.caches[name] for name in caches], np.int64)
        pages = run_objcg(
            events, sizes, np.zeros(sizes.size, np.bool_), version, cpus=1, page_bytes=profile.page_bytes
        ).pages.copy()
    else:
        pages = _slab_pages(profile, cpus, events, caches, own=design.per_memcg_caches)
        pages["kind"][(pages["kind"] == FREE) & (not profile.uncharge_batched)] = DIRECT_FREE
    tally = run_stock(pages, np.array([profile.charge_batch_pages]), cpus=1, slots=design.stock_slots)
    charges = np.count_nonzero(pages["kind"] == ALLOC)
    direct = np.count_nonzero(pages["kind"] == DIRECT_FREE)
    uncharges = direct + np.count_nonzero(pages["kind"] == FREE)
    return np.array([charges, charges - tally.hits[0], uncharges, direct + tally.drains[0]], np.int64)


def _slab_pages(
    profile: KernelProfile, cpus: int, events: NDArray[np.void], caches: list[str], *, own: bool
) -> NDArray[np.void]:
    geometry = [slab_geometry(profile, name, cpus) for name in caches]
    limits = [(g.objects, g.pages, g.min_partial, g.cpu_partial_objects + g.cpu_partial_slabs) for g in geometry]
    rule = {"off": PARTIAL_OFF, "objects": PARTIAL_OBJECTS, "slabs": PARTIAL_SLABS}[profile.cpu_partial_rule]
    slabs_of = OWN if own else SHARED
    return run_slub(
        events, np.array(limits, CACHE), cpus=1, nodes=1, slabs_of=slabs_of, partial_rule=rule
    ).pages.copy()


def _number(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))
