"""The charge-path functions that a kernel calls for a program pinned to one CPU, counted.

The program (conf/figures/README.md): in a cgroup whose kmem_caches exist already, create empty files on tmpfs;
unlink them; then open and close pipes. What is charged is the sweep's own charge path (`core.charge.streams`), held
against what a kernel's function profiler, or its kprobes, counted.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from core.charge.stock import DIRECT_FREE, run_stock
from core.charge.streams import page_stream
from core.designs import DESIGNS
from core.events import ALLOC, FREE
from core.keys import resolved
from core.lifecycle.memory import kmalloc
from core.params import Point
from core.profile import KernelProfile
from core.validation.made import PIPE_BYTES
from core.validation.program import Program

MEMCG = 1
CPU = 0
GRACE_PERIOD_US = 12_000  # as core.validation.tmpfs.GRACE_PERIOD_MS
TICK_US = 4_000  # of 250 Hz
# When `create` ended on 5.2.1, 675 of its files were not freed yet, and 2405 pipes of `pipe20000` (kmem_cache_free in
# ftrace_calls.csv). What waits is the work of 1 to 2 grace periods, 1.5 in the mean; so, on that emulated CPU:
FILE_US = 27  # to create, or to unlink, a file
PIPE_US = 7.5  # to open and close a pipe
PIPE_PHASE = re.compile(r"pipe(\d+)")


@dataclass(frozen=True)
class Calls:
    """One phase. Walks are of the page counters; an atomic is one level of a walk (page_counter_cancel())."""

    operations: int  # files or pipes
    charges: int
    charge_walks: int
    uncharges: int
    uncharge_walks: int
    uncharge_atomics: int


def count_calls(whole: Point, files: int, phases: Mapping[str, float | None], draw: int = 0) -> dict[str, Calls]:
    """Run the program to the end of each phase; `phases` are 'create', 'unlink' and 'pipeN' for N pipes.

    They are run in this order, whatever order a table has them in: what one leaves behind, the next one finds.

    whole: the kernel, the CPUs, the depth, and what else the charge path of a sweep reads of a point. A phase has its
    pace, us of an operation: how many fit a grace period decides what is freed in one go. None is the pace of the
    machine that conf/figures/ftrace_calls.csv was counted on, with grace periods of the mean length, as fitted to it;
    of another machine they are known to a tick, and `draw` numbers one way in which they fall. Raises ValueError for
    any other phase.
    """
    point = resolved(whole)
    program = _Pinned(point.kernel, point.cpus, draw)
    ends, operations = [0], []
    phases = dict(sorted(phases.items(), key=_place))
    for phase, pace_us in phases.items():
        operations.append(program.phase(phase, files, pace_us))
        ends.append(len(program))
    so_far = [_count(program, point, end) for end in ends]
    counted = {}
    for phase, number, (before, after) in zip(phases, operations, pairwise(so_far), strict=True):
        charges, charge_walks, uncharges, uncharge_walks = (int(number) for number in after - before)
        counted[phase] = Calls(
            number, charges, charge_walks, uncharges, uncharge_walks, (point.depth + 1) * uncharge_walks
        )
    return counted


def _place(phase: tuple[str, object]) -> tuple[int, int]:
    """Where the program has a phase: pipes last, those of fewer first; what is no phase is refused when it is run."""
    if pipes := PIPE_PHASE.fullmatch(phase[0]):
        return 2, int(pipes[1])
    return int(phase[0] != "create"), 0


class _Pinned(Program):
    """What RCU frees is freed in one go when a grace period that began after it has ended."""

    def __init__(self, profile: KernelProfile, cpus: int, draw: int) -> None:
        self.pipe = [kmalloc(size, profile.page_bytes)[0] for size in PIPE_BYTES]
        self.pipe += ["dentry", "inode_cache"]
        super().__init__(profile, cpus, [*self.pipe, "shmem_inode_cache", "filp"])
        self.files: list[list[int]] = []
        self.waiting: list[int] = []  # for the grace period in progress to end
        self.queued: list[int] = []  # for the next one
        self.clock_us = 0.0
        self.rng = np.random.Generator(np.random.Philox(key=draw))
        self.ends_us = float(GRACE_PERIOD_US)  # when the grace period in progress does

    def phase(self, name: str, files: int, pace_us: float | None) -> int:
        """Append a phase; return how many operations it has. After the second one, the program waits for RCU."""
        pipes = PIPE_PHASE.fullmatch(name)
        us = pace_us if pace_us is not None else PIPE_US if pipes else FILE_US
        jitter_us = TICK_US if pace_us is not None else 0
        if name == "create":
            for _ in range(files):
                dentry, inode, file = self._make(("dentry", "shmem_inode_cache", "filp"))
                self.files.append([dentry, inode])
                self._pass(us, jitter_us, rcu=self._closed([file]))
        elif name == "unlink":
            for objects in self.files:
                self._pass(us, jitter_us, rcu=objects)
            self._free(self.waiting + self.queued)
            self.files, self.waiting, self.queued = [], [], []
        elif pipes:
            for _ in range(int(pipes[1])):
                pipe, ends = self._make(self.pipe), self._make(("filp", "filp"))
                self._free(pipe)  # at once: DCACHE_NORCU (5.2), free_inode_nonrcu() of pipefs
                self._pass(us, jitter_us, rcu=self._closed(ends))
            return int(pipes[1])
        else:
            raise ValueError(f"phase must be create, unlink or pipe and a number (got {name!r}); correct the reference")
        return files

    def _closed(self, files: list[int]) -> list[int]:
        """Close open files: file_free() by RCU until 6.6, at once since; return what waits for RCU."""
        if self.profile.filp_by_rcu:
            return files
        self._free(files)
        return []

    def _make(self, caches: Iterable[str]) -> list[int]:
        return [self.alloc(cache, CPU, MEMCG) for cache in caches]

    def _free(self, numbers: Iterable[int]) -> None:
        for number in numbers:
            self.free(number, CPU)

    def _pass(self, us: float, jitter_us: float, rcu: list[int]) -> None:
        """Let time pass. Grace periods of one length would free the same number each time, in step with the slabs."""
        self.clock_us += us
        self.queued += rcu
        if self.clock_us >= self.ends_us:
            self._free(self.waiting)
            self.waiting, self.queued = self.queued, []
            late_us = (self.clock_us - self.ends_us) % GRACE_PERIOD_US
            self.ends_us = self.clock_us - late_us + GRACE_PERIOD_US + jitter_us * (2 * self.rng.random() - 1)


def _count(program: _Pinned, point: Point, stop: int) -> NDArray[np.int64]:
    """Charges, their walks, uncharges and their walks of the first `stop` events: as the sweep counts them."""
    if not stop:
        return np.zeros(4, np.int64)
    design = DESIGNS[point.design]
    pages = page_stream(point, design, program.machine(stop)).pages
    tally = run_stock(pages, np.array([point.batch]), cpus=point.cpus, slots=design.stock_slots)
    charges, direct, stocked = (np.count_nonzero(pages.kinds == kind) for kind in (ALLOC, DIRECT_FREE, FREE))
    return np.array([charges, charges - tally.hits[0], direct + stocked, direct + tally.drains[0]], np.int64)
