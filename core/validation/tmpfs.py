"""The reference's tmpfs program, replayed object by object: what its cgroups leave behind on a kernel at a CPU count.

The program (conf/figures/README.md), for each cgroup: mkdir; fork a process that enters it, touches a file and a
directory on tmpfs, which makes the kernel create the memcg's kmem_caches, sleeps, creates files, unlinks all but a few
and exits; rmdir. Every object that lives as long as a memcg, a kmem_cache or a file is allocated and freed here, in the
kernel's order, on `core.slabs.allocator`: so slabs fill, strand on CPUs and are given back as they are on a machine.

Left out is what is the same with and without kept files (tasks, page tables, names of cgroup files, ...), since the
figure is the difference of the two.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass

import numpy as np

from core.charge.machine import slabs_of
from core.events import OFFLINE, ONLINE, ROOT
from core.lifecycle.life import KIB
from core.lifecycle.memory import (
    KMALLOC,
    PERCPU_REF_BYTES,
    SLOT_BYTES,
    kmalloc,
    memcg_objects,
    memcg_percpu,
    objcg_objects,
)
from core.profile import KernelProfile
from core.validation.kernfs import KernfsRoot
from core.validation.made import DIRECTORY, FILE, made
from core.validation.program import Program
from core.workload import TmpfsProgram

BLOB = "lsm_inode_cache"  # security_inode_alloc(): one per inode where the kernel has it; not accounted
KERNEL = ("kernfs_node_cache", "radix_tree_node", "kmem_cache", "kmem_cache_node", "mem_cgroup", "mem_cgroup_per_node")
GRACE_PERIODS = 4  # from rmdir to freed: kill_css(), deactivation of the caches, css_release(), css_free_rwork_fn()
GRACE_PERIOD_MS = 12  # a tick of 250 Hz each to start, to the first scan (RCU_JIFFIES_TILL_FORCE_QS), to the callback
CACHE_CREATION_MS = 5  # assumption: the worker makes three kmem_caches with their sysfs directories in this time
# Share of wake-ups after which the parent is on its own CPU again, by CPUs: sched_getcpu() in guests of 5.2.1, 5.8.1,
# 5.9.1 and 6.1, 4,900 wake-ups in all; the middle of what each count showed (0.83-0.97, 0.91-0.985, 0.55-0.95)
STAYS = {8: 0.90, 16: 0.95, 32: 0.75}
PCPU_EMPTY_POP_PAGES_LOW = 2  # mm/percpu.c, 4.14 to 6.19
PCPU_EMPTY_POP_PAGES_HIGH = 4


@dataclass(frozen=True)
class Left:
    """What is there at the end beyond what was there at the start; memory in whole slabs and pages, KiB."""

    slab_kib: dict[str, float]  # by kmem_cache, the memcgs' own included
    percpu_kib: float
    dying_memcgs: int
    memcg_kmem_caches: int


def replay(profile: KernelProfile, tmpfs: TmpfsProgram, cpus: int, draw: int) -> Left:
    """Run the program once on a machine without NUMA; `draw` numbers one way in which its tasks wander between CPUs.

    A process that forks keeps its CPU busy, so the child starts on another, any other one (find_idlest_cpu()), and
    stays. The parent waits for it to exit and is woken on its own CPU mostly: the child's is busy with exiting,
    whatever wake_affine_idle() asks for, so select_idle_sibling() returns the one it was on. Hence mkdir, rmdir and
    what is freed later are of the parent's CPU; kmem_caches are made by a worker of the child's. What a CPU queues,
    its own worker does.
    """
    run = _Run(profile, tmpfs, cpus, np.random.Generator(np.random.Philox(key=draw)))
    run.go()
    return run.left()


class _Run(Program):
    """One run. What a cgroup allocated is freed when its last reference is gone, or never."""

    def __init__(self, profile: KernelProfile, tmpfs: TmpfsProgram, cpus: int, rng: np.random.Generator) -> None:
        self.made = made(profile, tmpfs)
        used = dict.fromkeys((*FILE, BLOB, *KERNEL, *KMALLOC.values(), *self.made.caches))
        super().__init__(profile, cpus, [name for name in used if name in profile.caches])
        self.tmpfs, self.rng = tmpfs, rng
        self.memcg_caches = tuple(dict.fromkeys((*FILE, *self.made.caches)))
        self.pinned: set[int] = set()  # memcgs that something else than a slab holds
        self.sysfs, self.cgroupfs = KernfsRoot(self), KernfsRoot(self)
        self.own_caches = self.design.per_memcg_caches and tmpfs.warm_ms >= CACHE_CREATION_MS
        self.percpu_bytes = self.percpu_peak_bytes = -int(rng.integers(profile.page_bytes))  # room in the last page

    def go(self) -> None:
        """Run it, each removed cgroup freed after its grace periods, while the next ones run."""
        for geometry in self.geometry:  # slabs are not found empty: what boot left fills the last one by any number
            for _ in range(self.rng.integers(geometry.objects)):
                self.alloc(geometry.cache, 0)
        flying = self.tmpfs.in_flight
        if flying is None:
            flying = -(-GRACE_PERIODS * GRACE_PERIOD_MS // max(self.tmpfs.warm_ms, GRACE_PERIOD_MS))
        removed: deque[_Cgroup] = deque()
        stays = STAYS[min(STAYS, key=lambda cpus: abs(math.log(cpus / self.cpus)))]
        parent = 0
        for number in range(1, self.tmpfs.cgroups + 1):
            cgroup = _Cgroup(self, number, parent)
            cgroup.enter(self._child_of(parent, number))
            if self.tmpfs.pin == "none" and self.rng.random() >= stays:
                parent = self._other_than(parent)
            cgroup.rmdir(parent)
            removed.append(cgroup)
            while len(removed) > int(flying + self.rng.random()):  # a mean need not be whole
                removed.popleft().free()
        for cgroup in removed:
            cgroup.free()

    def _child_of(self, parent: int, number: int) -> int:
        """Return the CPU of the process in a cgroup."""
        if self.tmpfs.pin == "in_turn":
            return (number - 1) % self.cpus
        return parent if self.tmpfs.pin == "one" else self._other_than(parent)

    def _other_than(self, cpu: int) -> int:
        return (cpu + 1 + int(self.rng.integers(max(self.cpus - 1, 1)))) % self.cpus

    def percpu(self, size: int) -> None:
        """Take so many bytes per CPU from the percpu allocator, or give them back."""
        self.percpu_bytes += size
        self.percpu_peak_bytes = max(self.percpu_peak_bytes, self.percpu_bytes)

    def left(self) -> Left:
        """Replay the slabs, and count."""
        slabs = self.machine().slabs(slabs_of(self.design)).instances["slabs"]  # [memcgs, caches]
        held = np.count_nonzero(slabs[1:], axis=1)  # caches of each memcg that have a slab
        pins_memcg = self.design.slab_pins == "memcg"
        by_slab = set((np.flatnonzero(held) + 1).tolist()) if pins_memcg else set()
        dying = len(by_slab | self.pinned)
        page_kib = self.profile.page_bytes / KIB
        kib = {g.cache: float(n) * g.pages * page_kib for g, n in zip(self.geometry, slabs.sum(axis=0), strict=True)}
        if self.design.charges == "bytes":
            self._add_vectors(kib)
        return Left(
            slab_kib=kib,
            percpu_kib=self._percpu_pages() * page_kib * self.cpus,
            dying_memcgs=dying,
            memcg_kmem_caches=len(by_slab) * len(self.memcg_caches) if pins_memcg else int(held.sum()),
        )

    def _add_vectors(self, kib: dict[str, float]) -> None:
        """Add the obj_cgroup vector that each slab of accounted objects carries (memcg_alloc_page_obj_cgroups())."""
        kept = set(self.made.caches[: self.made.kept])
        for g in (g for g in self.geometry if g.cache in kept):
            name, size = kmalloc(g.objects * SLOT_BYTES, self.profile.page_bytes)
            kib[name] += kib[g.cache] / g.pages / self.profile.page_bytes * size

    def _percpu_pages(self) -> int:
        """Pages per CPU that the percpu allocator adds, from the most bytes that were in use at once.

        pcpu_balance_workfn() populates up to HIGH empty pages once fewer than LOW are left: pages come by threes.
        """
        used = max(-(-self.percpu_peak_bytes // self.profile.page_bytes), 0)
        step = PCPU_EMPTY_POP_PAGES_HIGH - PCPU_EMPTY_POP_PAGES_LOW + 1
        return used // step * step


class _Cgroup:
    def __init__(self, run: _Run, number: int, cpu: int) -> None:
        """mkdir()."""
        self._run, self._number, self._cpu = run, number, cpu
        profile = run.profile
        self._objects = [run.alloc(name, cpu) for each in memcg_objects(profile, 1).values() for name, _ in each]
        self._percpu_bytes = sum(memcg_percpu(profile, 1).values())
        run.percpu(self._percpu_bytes)
        self._directory = run.cgroupfs.node(cpu, f"c{number}")
        self._files = [run.cgroupfs.node(cpu) for _ in range(profile.cgroup_files - 1)]
        self._objcg: list[int] = []
        if run.design.charges == "bytes":
            self._objcg = [run.alloc(name, cpu) for each in objcg_objects(profile).values() for name, _ in each]
            run.percpu(PERCPU_REF_BYTES)
        self._caches: dict[str, _KmemCache] = {}
        run.mark(ONLINE, number, cpu)

    def enter(self, cpu: int) -> None:
        """The forked process, on one CPU. Objects of unlinked files go after a grace period: when all are created."""
        run = self._run
        memcg = self._number if run.design.per_memcg_caches else ROOT
        touched = [run.alloc(cache, cpu, memcg, early=True) for cache in (*FILE, *DIRECTORY)]
        if run.own_caches:
            self._caches = {
                name: _KmemCache(run, f"{name}({2 * self._number}:c{self._number})", cpu) for name in run.memcg_caches
            }
        early, made = not run.own_caches, run.made
        files = [[run.alloc(cache, cpu, memcg, early=early) for cache in made.caches] for _ in range(run.tmpfs.files)]
        blobs = [[run.alloc(BLOB, cpu)] if BLOB in run.profile.caches else [] for _ in files]
        closed = [number for objects in files for number in objects[made.kept :]]
        unlinked = [objects[: made.kept] + blob for objects, blob in zip(files, blobs, strict=True)][run.tmpfs.keep :]
        for number in [*touched, *closed, *(number for objects in unlinked for number in objects)]:
            run.free(number, cpu)

    def rmdir(self, cpu: int) -> None:
        """Remove the directory's files at once; the rest is for `free`, by the worker of this CPU."""
        self._cpu = cpu
        for node in self._files:
            self._run.cgroupfs.remove(node, cpu)
        self._run.mark(OFFLINE, self._number, cpu)

    def free(self) -> None:
        """Free what is not pinned, when the grace periods are over."""
        run, kept = self._run, min(self._run.tmpfs.keep, self._run.tmpfs.files) > 0
        if kept and self._caches and run.design.slab_pins == "memcg":
            return
        holding = run.made.caches[: run.made.kept] if kept else ()
        for name, cache in self._caches.items():
            if name not in holding:
                cache.free(self._cpu)
        if kept and run.made.pins_memcg:
            run.pinned.add(self._number)
            return
        run.percpu(-self._percpu_bytes)
        run.cgroupfs.remove(self._directory, self._cpu)
        for number in self._objects if kept else self._objects + self._objcg:
            run.free(number, self._cpu)
        if self._objcg and not kept:
            run.percpu(-PERCPU_REF_BYTES)


class _KmemCache:
    """A memcg's kmem_cache: create_cache() and sysfs_slab_add(), and what kmem_cache_release() gives back."""

    def __init__(self, run: _Run, name: str, cpu: int) -> None:
        profile = run.profile
        self._run = run
        self._percpu_bytes = profile.structs.kmem_cache_cpu + PERCPU_REF_BYTES * (run.design.cache_ref == "percpu")
        run.percpu(self._percpu_bytes)
        text, _ = kmalloc(len(name) + 1, profile.page_bytes)
        names = [text] * (1 + profile.memcg_slab_sysfs)  # its own, and its kobject's
        self._objects = [run.alloc(cache, cpu) for cache in ("kmem_cache", "kmem_cache_node", *names)]
        self._nodes = []
        if profile.memcg_slab_sysfs:
            self._nodes = [run.sysfs.node(cpu, name), *(run.sysfs.node(cpu) for _ in range(profile.cache_files - 1))]

    def free(self, cpu: int) -> None:
        self._run.percpu(-self._percpu_bytes)
        for number in self._objects:
            self._run.free(number, cpu)
        for node in self._nodes:
            self._run.sysfs.remove(node, cpu)
