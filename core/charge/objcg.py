"""obj_cgroup: objects charged by bytes, through a per-CPU stock of bytes, into pages.

Follows obj_cgroup_charge(), refill_obj_stock(), drain_obj_stock(), mod_objcg_state(), memcg_slab_post_alloc_hook(),
memcg_slab_free_hook() and obj_cgroup_release() of Linux 5.9 to 6.19. What comes out are page events for the memcgs'
page stocks (`core.charge.stock`); none of it depends on the batch.

Left out: before 6.16 a CPU whose page stock is flushed at offline drains its byte stock along with it, whomever it
serves. That moves at most one remainder per CPU and offline to nr_charged_bytes, and would make bytes depend on the
batch.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

from core.charge.stock import DIRECT_FREE
from core.charge.vmstat import STAT_EVENT
from core.compiled import entry
from core.designs import ObjcgVersion
from core.events import ALLOC, FREE, OFFLINE, ROOT, SAMPLE, START
from core.slabs.heap import PAGE_EVENT

OBJCG_SLOT_BYTES = 8  # obj_full_size(): an object's slot in the slab's vector of obj_cgroups is charged too
UNCACHED = -1  # a byte stock that serves no obj_cgroup

# columns of the state arrays
WHO, BYTES, STATS = 0, 1, 2  # byte stock of a CPU: cached objcg, bytes, then two gathered statistics
CHARGED, REFS, KILLED = range(3)  # obj_cgroup: nr_charged_bytes, references, killed
BYTE_ATOMICS, PERCPU_REFS, DEAD_REFS, STAT_UPDATES, ODD_RELEASES, PAGES_OUT, STATS_OUT, FIRST_STAT = range(8)


@dataclass(frozen=True)
class ObjcgTrace:
    """What charging by bytes came to.

    pages: `PAGE_EVENT` records: ALLOC charges pages, FREE uncharges them to the page stock, DIRECT_FREE to the
    counters; OFFLINE, START, SAMPLE. stats: `STAT_EVENT` records in bytes, none with rstat, counted from `first_stat`
    on. byte_atomics: on nr_charged_bytes.
    percpu_refs, dead_refs: references on obj_cgroups and css taken or dropped, per CPU, or by atomics after offline.
    stat_updates: of a memcg and node, per CPU. live_bytes, stocked_bytes, left_bytes: charged bytes in objects, stocks
    and nr_charged_bytes at the end.
    """

    pages: NDArray[np.void]
    stats: NDArray[np.void]
    first_stat: int
    byte_atomics: int
    percpu_refs: int
    dead_refs: int
    stat_updates: int
    live_bytes: int
    stocked_bytes: int
    left_bytes: int


def run_objcg(
    events: NDArray[np.void],
    object_bytes: NDArray[np.int64],
    reclaimable: NDArray[np.bool_],
    version: ObjcgVersion,
    *,
    cpus: int,
    page_bytes: int,
) -> ObjcgTrace:
    """Charge the objects of `EVENT` records; object_bytes and reclaimable are `[caches]`.

    Raises AssertionError if an obj_cgroup is released with bytes that do not make whole pages.
    """
    memcgs = int(events["memcg"].max(initial=ROOT)) + 1
    stocks = np.zeros((cpus, 4), np.int64)
    stocks[:, WHO] = UNCACHED
    objcgs = np.zeros((memcgs, 3), np.int64)
    objcgs[:, REFS] = 1
    sums = np.zeros(8, np.int64)
    pages = np.empty(4 * events.size, PAGE_EVENT)  # most that an event can cause: charge, drain, refill, release
    stats = np.empty(0 if version.rstat else events.size, STAT_EVENT)
    objects = np.zeros((int(events["object"].max(initial=UNCACHED)) + 1, 2), np.int32)
    full = object_bytes + OBJCG_SLOT_BYTES
    items = reclaimable.astype(np.int64)
    _charge(events, full, items, version, page_bytes, stocks, objcgs, objects, sums, pages, stats)
    if sums[ODD_RELEASES]:
        raise AssertionError(f"objcg: {sums[ODD_RELEASES]} obj_cgroups released with bytes that are no whole pages")
    held = objects[objects[:, 0] != ROOT]
    return ObjcgTrace(
        pages=pages[: sums[PAGES_OUT]],
        stats=stats[: sums[STATS_OUT]],
        first_stat=int(sums[FIRST_STAT]),
        byte_atomics=int(sums[BYTE_ATOMICS]),
        percpu_refs=int(sums[PERCPU_REFS]),
        dead_refs=int(sums[DEAD_REFS]),
        stat_updates=int(sums[STAT_UPDATES]),
        live_bytes=int(full[held[:, 1]].sum()),
        stocked_bytes=int(stocks[:, BYTES].sum()),
        left_bytes=int(objcgs[:, CHARGED].sum()),
    )


@entry
def _charge(events, full, items, version, page_bytes, stocks, objcgs, objects, sums, pages, stats):  # type: ignore[no-untyped-def]
    cpus = np.uint64(stocks.shape[0])
    for i in range(events.size):
        event = events[i]
        cpu = np.int64((np.uint64(event.cpu_hash) * cpus) >> np.uint64(32))
        if event.kind in (ALLOC, FREE):
            allocates = event.kind == ALLOC
            me = objects[event.object]
            if allocates:
                me[0] = event.memcg
                me[1] = event.cache
            who, size = np.int64(me[0]), full[me[1]]
            if who == ROOT:
                continue
            if allocates:
                sums[PERCPU_REFS] += 3 if version.tryget_per_alloc else 1
                objcgs[who, REFS] += 1
                if stocks[cpu, WHO] == who and stocks[cpu, BYTES] >= size:
                    stocks[cpu, BYTES] -= size
                else:
                    sums[PERCPU_REFS] += 2  # css_get() and css_put() around the charge
                    _emit(pages, sums, np.int64(ALLOC), cpu, who, (size + page_bytes - 1) // page_bytes)
                    rest = -size % page_bytes
                    if rest:
                        _refill(stocks, objcgs, sums, pages, version, page_bytes, cpu, who, rest, not allocates)
            else:
                _refill(stocks, objcgs, sums, pages, version, page_bytes, cpu, who, size, not allocates)
            delta = size if allocates else -size
            if version.caches_stat:
                if stocks[cpu, WHO] != who:
                    _switch(stocks, objcgs, sums, pages, version, page_bytes, cpu, who)
                gathered = stocks[cpu, STATS + items[me[1]]]
                over = gathered != 0 and abs(gathered + delta) > page_bytes
                sums[STAT_UPDATES] += over
                stocks[cpu, STATS + items[me[1]]] = 0 if over else gathered + delta
            else:
                sums[STAT_UPDATES] += 1
            if not version.rstat:
                stat = stats[sums[STATS_OUT]]
                stat.cpu, stat.item, stat.delta = cpu, items[me[1]], delta
                stat.memcg = ROOT if objcgs[who, KILLED] else who
                sums[STATS_OUT] += 1
            if not allocates:
                me[0] = ROOT
                _put(objcgs, sums, pages, version, page_bytes, cpu, who)
        elif event.kind == OFFLINE:
            who = np.int64(event.memcg)
            objcgs[who, KILLED] = 1
            _emit(pages, sums, np.int64(OFFLINE), cpu, who, np.int64(0))
            objcgs[who, REFS] -= 1
            if objcgs[who, REFS] == 0:
                _release(objcgs, sums, pages, version, page_bytes, cpu, who)
        elif event.kind == START:
            sums[:ODD_RELEASES] = 0
            sums[FIRST_STAT] = sums[STATS_OUT]
            _emit(pages, sums, np.int64(START), cpu, np.int64(ROOT), np.int64(0))
        elif event.kind == SAMPLE:
            _emit(pages, sums, np.int64(SAMPLE), cpu, np.int64(ROOT), np.int64(0))


@njit
def _refill(stocks, objcgs, sums, pages, version, page_bytes, cpu, who, size, allow_uncharge):  # type: ignore[no-untyped-def]
    """refill_obj_stock()"""
    if stocks[cpu, WHO] != who:
        _switch(stocks, objcgs, sums, pages, version, page_bytes, cpu, who)
        allow_uncharge = True
    stocks[cpu, BYTES] += size
    if stocks[cpu, BYTES] > page_bytes:
        if not version.carries_bytes:
            _drain(stocks, objcgs, sums, pages, version, page_bytes, cpu)
        elif allow_uncharge:
            whole = stocks[cpu, BYTES] // page_bytes
            stocks[cpu, BYTES] %= page_bytes
            _uncharge(objcgs, sums, pages, version, cpu, who, whole, version.refill_to_stock)


@njit
def _switch(stocks, objcgs, sums, pages, version, page_bytes, cpu, who):  # type: ignore[no-untyped-def]
    _drain(stocks, objcgs, sums, pages, version, page_bytes, cpu)
    sums[DEAD_REFS if objcgs[who, KILLED] else PERCPU_REFS] += 1
    objcgs[who, REFS] += 1
    stocks[cpu, WHO] = who
    if objcgs[who, CHARGED] or not version.carries_bytes:
        sums[BYTE_ATOMICS] += 1
    stocks[cpu, BYTES] = objcgs[who, CHARGED]
    objcgs[who, CHARGED] = 0


@njit
def _drain(stocks, objcgs, sums, pages, version, page_bytes, cpu):  # type: ignore[no-untyped-def]
    """drain_obj_stock()"""
    who = stocks[cpu, WHO]
    if who == UNCACHED:
        return
    if stocks[cpu, BYTES]:
        whole = stocks[cpu, BYTES] // page_bytes
        if whole:
            _uncharge(objcgs, sums, pages, version, cpu, who, whole, version.drain_to_stock)
        objcgs[who, CHARGED] += stocks[cpu, BYTES] % page_bytes
        sums[BYTE_ATOMICS] += 1
        stocks[cpu, BYTES] = 0
    for item in range(STATS, STATS + 2):
        sums[STAT_UPDATES] += stocks[cpu, item] != 0
        stocks[cpu, item] = 0
    stocks[cpu, WHO] = UNCACHED
    _put(objcgs, sums, pages, version, page_bytes, cpu, who)


@njit
def _put(objcgs, sums, pages, version, page_bytes, cpu, who):  # type: ignore[no-untyped-def]
    sums[DEAD_REFS if objcgs[who, KILLED] else PERCPU_REFS] += 1
    objcgs[who, REFS] -= 1
    if objcgs[who, REFS] == 0:
        _release(objcgs, sums, pages, version, page_bytes, cpu, who)


@njit
def _release(objcgs, sums, pages, version, page_bytes, cpu, who):  # type: ignore[no-untyped-def]
    """obj_cgroup_release(): what the CPUs left in nr_charged_bytes makes whole pages by now."""
    whole = objcgs[who, CHARGED] // page_bytes
    sums[ODD_RELEASES] += objcgs[who, CHARGED] % page_bytes != 0
    objcgs[who, CHARGED] = 0
    if whole:
        _uncharge(objcgs, sums, pages, version, cpu, who, whole, version.refill_to_stock)


@njit
def _uncharge(objcgs, sums, pages, version, cpu, who, whole, to_stock):  # type: ignore[no-untyped-def]
    """obj_cgroup_uncharge_pages(): from the memcg, or from the parent it was reparented to."""
    sums[PERCPU_REFS] += 2 * version.css_get_per_uncharge
    payer = np.int64(ROOT) if objcgs[who, KILLED] else who
    _emit(pages, sums, np.int64(FREE) if to_stock else np.int64(DIRECT_FREE), cpu, payer, whole)


@njit
def _emit(pages, sums, kind, cpu, memcg, count):  # type: ignore[no-untyped-def]
    event = pages[sums[PAGES_OUT]]
    event.kind, event.cpu, event.memcg, event.cache, event.pages, event.dead = kind, cpu, memcg, 0, count, 0
    sums[PAGES_OUT] += 1
