"""The reference's tmpfs program, replayed object by object: what its cgroups leave behind on a kernel at a CPU count.

The program (conf/figures/README.md), for each cgroup: mkdir; fork a process that enters it, touches a file and a
directory on tmpfs, which makes the kernel create the memcg's kmem_caches, sleeps, creates files, unlinks all but a
few and exits; rmdir. Every object that lives as long as a memcg, a kmem_cache or a file is allocated and freed here,
in the kernel's order, on `core.slub`: so slabs fill, strand on CPUs and are given back as they are on a machine.

Left out is what is the same with and without kept files (tasks, page tables, names of cgroup files, ...), since the
figure is the difference of the two.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import numpy as np

from core.designs import DESIGNS
from core.events import ALLOC, EVENT, FREE, OFFLINE, ONLINE, ROOT, cpu_hash
from core.geometry import slab_geometry
from core.memory import (
    PERCPU_REF_BYTES,
    SLOT_BYTES,
    kmalloc,
    memcg_objects,
    memcg_percpu,
    objcg_objects,
    radix_slots,
)
from core.profile import KernelProfile
from core.slub import CACHE, OWN, PARTIAL_OBJECTS, PARTIAL_OFF, PARTIAL_SLABS, run_slub
from core.workload import TmpfsProgram

KIB = 1024
FILE = ("dentry", "shmem_inode_cache", "filp")  # caches of an open tmpfs file, all SLAB_ACCOUNT
KEPT = 2  # of these, how many hold an object as long as the file is not unlinked
GRACE_PERIODS = 4  # from rmdir to freed: kill_css(), deactivation of the caches, css_release(), css_free_rwork_fn()
GRACE_PERIOD_MS = 12  # at 250 Hz a tick each to start it, to the first scan (RCU_JIFFIES_TILL_FORCE_QS), to the callback
CACHE_CREATION_MS = 5  # assumption: the worker makes three kmem_caches with their sysfs directories in this time
PCPU_EMPTY_POP_PAGES_LOW = 2  # mm/percpu.c, 4.14 to 6.19
PCPU_EMPTY_POP_PAGES_HIGH = 4


@dataclass(frozen=True)
class Left:
    """What is there at the end beyond what was there at the start; memory in whole slabs and pages, KiB."""

    slab_kib: dict[str, float]  # by kmem_cache, the memcgs' own included
    percpu_kib: float
    dying_memcgs: int
    memcg_kmem_caches: int


def replay(profile: KernelProfile, program: TmpfsProgram, cpus: int, draw: int) -> Left:
    """Run the program once on a machine without NUMA; `draw` numbers one way in which its tasks wander between CPUs.

    A process that forks keeps its CPU busy, so the child starts on another, any other one (find_idlest_cpu()). The
    parent waits for the child to exit and is woken on its CPU (wake_affine_idle(), a synchronous wake-up). What a CPU
    queues, its own worker does.
    """
    run = _Run(profile, program, cpus, np.random.Generator(np.random.Philox(key=draw)))
    run.program()
    return run.left()


class _Run:
    """The events of one run, with the state that decides them. An object is a pair of its number and its cache."""

    def __init__(self, profile: KernelProfile, program: TmpfsProgram, cpus: int, rng: np.random.Generator) -> None:
        self.profile, self.tmpfs, self.cpus, self.rng = profile, program, cpus, rng
        self.design = DESIGNS[profile.design]
        self.names = [*FILE, *(name for name in profile.caches if name not in FILE)]
        self.index = {name: i for i, name in enumerate(self.names)}
        self.geometry = [slab_geometry(profile, name, cpus) for name in self.names]
        self.events: list[tuple[int, int, int, int, int, int]] = []
        self.objects = 0
        self.percpu_bytes = self.percpu_peak_bytes = -int(rng.integers(profile.page_bytes))  # room in the last page
        self.sysfs, self.cgroupfs = _Idr(self), _Idr(self)
        self.own_caches = self.design.per_memcg_caches and program.warm_ms >= CACHE_CREATION_MS

    def program(self) -> None:
        """Run it, each removed cgroup freed after its grace periods, while the next ones run."""
        for geometry in self.geometry:  # slabs are not found empty: what boot left fills the last one by any number
            for _ in range(self.rng.integers(geometry.objects)):
                self.alloc(geometry.cache, 0)
        in_flight = -(-GRACE_PERIODS * GRACE_PERIOD_MS // max(self.tmpfs.warm_ms, GRACE_PERIOD_MS))  # cgroups
        removed: deque[_Cgroup] = deque()
        parent = 0  # its CPU
        for number in range(1, self.tmpfs.cgroups + 1):
            cgroup = _Cgroup(self, number, parent)
            parent = (parent + 1 + int(self.rng.integers(max(self.cpus - 1, 1)))) % self.cpus
            cgroup.run(parent)
            cgroup.rmdir(parent)
            removed.append(cgroup)
            if len(removed) > in_flight:
                removed.popleft().free()
        for cgroup in removed:
            cgroup.free()

    def alloc(self, cache: str, cpu: int, memcg: int = ROOT, early: bool = False) -> int:
        self.events.append((ALLOC, early, self.index[cache], memcg, self.objects, cpu))
        self.objects += 1
        return self.objects - 1

    def free(self, number: int, cpu: int) -> None:
        self.events.append((FREE, 0, 0, ROOT, number, cpu))

    def mark(self, kind: int, memcg: int, cpu: int) -> None:
        if self.design.per_memcg_caches:
            self.events.append((kind, 0, 0, memcg, 0, cpu))

    def text(self, name: str) -> str:
        """Return the cache that a copy of a name comes from."""
        return kmalloc(len(name) + 1, self.profile.page_bytes)[0]

    def percpu(self, size: int) -> None:
        self.percpu_bytes += size
        self.percpu_peak_bytes = max(self.percpu_peak_bytes, self.percpu_bytes)

    def left(self) -> Left:
        events = np.array(self.events, EVENT)
        events["cpu_hash"] = cpu_hash(events["cpu_hash"], self.cpus)
        limits = [(g.objects, g.pages, g.min_partial, g.cpu_partial_objects + g.cpu_partial_slabs) for g in self.geometry]
        rules = {"off": PARTIAL_OFF, "objects": PARTIAL_OBJECTS, "slabs": PARTIAL_SLABS}
        trace = run_slub(
            events,
            np.array(limits, CACHE),
            cpus=self.cpus,
            nodes=1,
            slabs_of=OWN,
            partial_rule=rules[self.profile.cpu_partial_rule],
        )
        slabs = trace.instances["slabs"]  # [memcgs, caches]
        page_kib = self.profile.page_bytes / KIB
        held = np.count_nonzero(slabs[1:], axis=1)  # caches of each memcg that have a slab
        dying = int(np.count_nonzero(held)) if self.design.slab_pins == "memcg" else 0
        caches = len(FILE) * dying if self.design.slab_pins == "memcg" else int(held.sum())
        kib = {g.cache: float(n * g.pages * page_kib) for g, n in zip(self.geometry, slabs.sum(axis=0), strict=True)}
        if self.design.charges == "bytes":
            kib = self._with_vectors(kib)
        return Left(
            slab_kib=kib, percpu_kib=_populated_pages(self) * page_kib * self.cpus, dying_memcgs=dying, memcg_kmem_caches=caches
        )

    def _with_vectors(self, kib: dict[str, float]) -> dict[str, float]:
        """Add the obj_cgroup vector that each slab of accounted objects carries (memcg_alloc_page_obj_cgroups())."""
        kib = dict(kib)
        for g in self.geometry[:KEPT]:
            vector = g.objects * SLOT_BYTES
            slabs = kib[g.cache] * KIB / (g.pages * self.profile.page_bytes)
            name, size = kmalloc(vector, self.profile.page_bytes)
            kib[name] += slabs * size / KIB
        return kib


def _populated_pages(run: _Run) -> int:
    """Pages per CPU that the percpu allocator adds, from the most bytes that were in use at once.

    pcpu_balance_workfn() populates up to HIGH empty pages once fewer than LOW are left, so pages come by threes.
    """
    used = max(-(-run.percpu_peak_bytes // run.profile.page_bytes), 0)
    step = PCPU_EMPTY_POP_PAGES_HIGH - PCPU_EMPTY_POP_PAGES_LOW + 1
    return used // step * step


class _Cgroup:
    """One cgroup of the program. Everything it allocated is freed when its last reference is gone, or never."""

    def __init__(self, run: _Run, number: int, cpu: int) -> None:
        self.run_, self.number = run, number
        self.profile = run.profile
        self.objects = [run.alloc(name, cpu) for each in memcg_objects(run.profile, 1).values() for name, _ in each]
        self.directory = run.cgroupfs.node(f"c{number}", cpu)
        self.files = [run.cgroupfs.node(None, cpu) for _ in range(run.profile.cgroup_files - 1)]
        self.objcg: list[int] = []
        if run.design.charges == "bytes":
            self.objcg = [run.alloc(name, cpu) for each in objcg_objects(run.profile).values() for name, _ in each]
            run.percpu(PERCPU_REF_BYTES)
        self.caches: list[_KmemCache] = []
        run.percpu(sum(memcg_percpu(run.profile, 1).values()))
        run.mark(ONLINE, number, cpu)

    def run(self, cpu: int) -> None:
        """The forked process, on one CPU. Objects of unlinked files go after a grace period: when all are created."""
        run = self.run_
        memcg = self.number if run.design.per_memcg_caches else ROOT
        touched = [run.alloc(cache, cpu, memcg, early=True) for cache in (*FILE, *FILE[:KEPT])]
        if run.own_caches:
            self.caches = [_KmemCache(run, f"{name}({2 * self.number}:c{self.number})", cpu) for name in FILE]
        early = not run.own_caches
        files = [[run.alloc(cache, cpu, memcg, early) for cache in FILE] for _ in range(run.tmpfs.files)]
        security = "lsm_inode_cache" in run.profile.caches  # not accounted: security_inode_alloc()
        blobs = [[run.alloc("lsm_inode_cache", cpu)] for _ in files] if security else [[] for _ in files]
        closed = [number for _, _, number in files]
        unlinked = [number for file, blob in zip(files, blobs, strict=True) for number in file[:KEPT] + blob]
        kept = run.tmpfs.keep * (KEPT + security)
        for number in touched + closed + unlinked[kept:]:
            run.free(number, cpu)

    def rmdir(self, cpu: int) -> None:
        self.cpu = cpu
        for node in self.files:
            self.run_.cgroupfs.remove(node, cpu)
        self.run_.mark(OFFLINE, self.number, cpu)

    def free(self) -> None:
        """What goes when the grace periods are over, by the worker of the CPU that ran rmdir."""
        run, kept = self.run_, self.run_.tmpfs.keep > 0
        if kept and self.caches and run.design.slab_pins == "memcg":
            return
        run.percpu(-sum(memcg_percpu(run.profile, 1).values()))
        for number in self.objects:
            run.free(number, self.cpu)
        run.cgroupfs.remove(self.directory, self.cpu)
        if not kept and self.objcg:
            run.percpu(-PERCPU_REF_BYTES)
            for number in self.objcg:
                run.free(number, self.cpu)
        for cache in self.caches[KEPT * kept :]:
            cache.free(self.cpu)


class _KmemCache:
    """A memcg's kmem_cache: create_cache() and sysfs_slab_add(), and what kmem_cache_release() gives back."""

    def __init__(self, run: _Run, name: str, cpu: int) -> None:
        self.run = run
        self.percpu_bytes = run.profile.structs.kmem_cache_cpu + PERCPU_REF_BYTES * (run.design.cache_ref == "percpu")
        run.percpu(self.percpu_bytes)
        names = [run.text(name)] * (1 + run.profile.memcg_slab_sysfs)  # its own, and its kobject's
        self.objects = [run.alloc(cache, cpu) for cache in ("kmem_cache", "kmem_cache_node", *names)]
        self.nodes = []
        if run.profile.memcg_slab_sysfs:
            self.nodes = [run.sysfs.node(name, cpu), *(run.sysfs.node(None, cpu) for _ in range(run.profile.cache_files - 1))]

    def free(self, cpu: int) -> None:
        self.run.percpu(-self.percpu_bytes)
        for number in self.objects:
            self.run.free(number, cpu)
        for node in self.nodes:
            self.run.sysfs.remove(node, cpu)


class _Idr:
    """A kernfs root: its nodes take inode numbers that only ever rise, from a radix tree (idr_alloc_cyclic())."""

    def __init__(self, run: _Run) -> None:
        self.run = run
        self.next_ino = 1
        self.slots = radix_slots(run.profile)
        self.radix: dict[tuple[int, int], tuple[int, set[int]]] = {}  # (height, place) -> object, places in use below

    def node(self, name: str | None, cpu: int) -> tuple[int, list[int]]:
        """Create a kernfs node: its inode number and its objects; `name` if it is not a constant of the kernel's."""
        ino, self.next_ino = self.next_ino, self.next_ino + 1
        copies = [] if name is None else [self.run.alloc(self.run.text(name), cpu)]
        below, place, height = ino, ino // self.slots, 0
        while (height, place) not in self.radix:
            self.radix[height, place] = (self.run.alloc("radix_tree_node", cpu), {below})
            if place == 0:
                break
            below, place, height = place, place // self.slots, height + 1
        else:
            self.radix[height, place][1].add(below)
        return ino, [*copies, self.run.alloc("kernfs_node_cache", cpu)]

    def remove(self, node: tuple[int, list[int]], cpu: int) -> None:
        ino, objects = node
        for number in objects:
            self.run.free(number, cpu)
        below, place, height = ino, ino // self.slots, 0
        while (height, place) in self.radix:
            number, used = self.radix[height, place]
            used.discard(below)
            if used:
                break
            del self.radix[height, place]
            self.run.free(number, cpu)
            below, place, height = place, place // self.slots, height + 1
