"""obj_cgroup: objects charged by bytes, through a per-CPU stock of bytes, into pages.

Follows obj_cgroup_charge(), refill_obj_stock(), drain_obj_stock(), mod_objcg_state(), memcg_slab_post_alloc_hook(),
memcg_slab_free_hook() and obj_cgroup_release() of Linux 5.9 to 7.2. What comes out are page events for the memcgs'
page stocks (`core.charge.stock`); none of it depends on the batch.

Left out: before 6.16 a CPU whose page stock is flushed at offline drains its byte stock along with it, whomever it
serves. That moves at most one remainder per CPU and offline to nr_charged_bytes, and would make bytes depend on the
batch.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

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
WHO, BYTES = range(2)  # slot of a CPU's byte stock: cached objcg, bytes
OWNER, STATS, TURN = 0, 1, 3  # of a CPU: slot whose two statistics are gathered, those, slot that goes next
S16_MAX = 32767  # statistics that several slots share are gathered in 16 bits
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
    nodes: int,
    page_bytes: int,
) -> ObjcgTrace:
    """Charge the objects of `EVENT` records; object_bytes and reclaimable are `[caches]`.

    With `version.per_node` a memcg has an obj_cgroup for each node; CPU `c` is on node `c * nodes // cpus`.

    Raises AssertionError if an obj_cgroup is released with bytes that do not make whole pages.
    """
    memcgs = int(events["memcg"].max(initial=ROOT)) + 1
    each = nodes if version.per_node else 1
    stocks = np.zeros((cpus, version.byte_slots, 2), np.int64)
    stocks[:, :, WHO] = UNCACHED
    gathered = np.zeros((cpus, 4), np.int64)
    objcgs = np.zeros((memcgs * each, 3), np.int64)
    objcgs[:, REFS] = 1
    sums = np.zeros(8, np.int64)
    # most that an event can cause: charge, drain, refill, and a release of each node's obj_cgroup
    pages = np.empty((3 + each) * events.size, PAGE_EVENT)
    stats = np.empty(0 if version.rstat else events.size, STAT_EVENT)
    objects = np.full((int(events["object"].max(initial=UNCACHED)) + 1, 2), UNCACHED, np.int32)
    full = object_bytes + OBJCG_SLOT_BYTES
    items = reclaimable.astype(np.int64)
    state = _State(stocks, gathered, objcgs, objects, sums, pages, stats)
    _charge(events, full, items, version, page_bytes, each, state)
    if sums[ODD_RELEASES]:
        raise AssertionError(f"objcg: {sums[ODD_RELEASES]} obj_cgroups released with bytes that are no whole pages")
    held = objects[objects[:, 0] != UNCACHED]
    return ObjcgTrace(
        pages=pages[: sums[PAGES_OUT]],
        stats=stats[: sums[STATS_OUT]],
        first_stat=int(sums[FIRST_STAT]),
        byte_atomics=int(sums[BYTE_ATOMICS]),
        percpu_refs=int(sums[PERCPU_REFS]),
        dead_refs=int(sums[DEAD_REFS]),
        stat_updates=int(sums[STAT_UPDATES]),
        live_bytes=int(full[held[:, 1]].sum()),
        stocked_bytes=int(stocks[:, :, BYTES].sum()),
        left_bytes=int(objcgs[:, CHARGED].sum()),
    )


class _State(NamedTuple):
    """All that a run changes; Numba reads it by name."""

    stocks: NDArray[np.int64]  # [cpus, slots, 2]
    gathered: NDArray[np.int64]  # [cpus, 4]
    objcgs: NDArray[np.int64]  # [objcgs, 3], those of a memcg node by node
    objects: NDArray[np.int32]  # [objects, 2] obj_cgroup, UNCACHED if none; cache
    sums: NDArray[np.int64]
    pages: NDArray[np.void]
    stats: NDArray[np.void]


@entry
def _charge(events, full, items, version, page_bytes, each, state):  # type: ignore[no-untyped-def]
    """`each`: obj_cgroups of a memcg."""
    cpus, objcgs, sums = state.stocks.shape[0], state.objcgs, state.sums
    run = (version, page_bytes, each, state)
    for i in range(events.size):
        event = events[i]
        cpu = np.int64((np.uint64(event.cpu_hash) * np.uint64(cpus)) >> np.uint64(32))
        if event.kind in (ALLOC, FREE):
            allocates = event.kind == ALLOC
            me = state.objects[event.object]
            if allocates:
                me[0] = UNCACHED if event.memcg == ROOT else event.memcg * each + cpu * each // cpus
                me[1] = event.cache
            who, size = np.int64(me[0]), full[me[1]]
            if who == UNCACHED:
                continue
            if allocates:
                sums[PERCPU_REFS] += 3 if version.tryget_per_alloc else 1
                objcgs[who, REFS] += 1
                slot = _slot_of(state, cpu, who)
                if slot != UNCACHED and state.stocks[cpu, slot, BYTES] >= size:
                    state.stocks[cpu, slot, BYTES] -= size
                else:
                    sums[PERCPU_REFS] += 2  # css_get() and css_put() around the charge
                    _emit(state, np.int64(ALLOC), cpu, who // each, (size + page_bytes - 1) // page_bytes)
                    rest = -size % page_bytes
                    if rest:
                        _refill(run, cpu, who, rest, not allocates)
            else:
                _refill(run, cpu, who, size, not allocates)
            delta = size if allocates else -size
            if version.caches_stat:
                _account(run, cpu, who, STATS + items[me[1]], delta)
            else:
                sums[STAT_UPDATES] += 1
            if not version.rstat:
                stat = state.stats[sums[STATS_OUT]]
                stat.cpu, stat.item, stat.delta = cpu, items[me[1]], delta
                stat.memcg = ROOT if objcgs[who, KILLED] else who // each
                sums[STATS_OUT] += 1
            if not allocates:
                me[0] = UNCACHED
                _put(run, cpu, who)
        elif event.kind == OFFLINE:
            first = np.int64(event.memcg) * each
            objcgs[first : first + each, KILLED] = 1
            _emit(state, np.int64(OFFLINE), cpu, np.int64(event.memcg), np.int64(0))
            for objcg in range(first, first + each):
                objcgs[objcg, REFS] -= 1
                if objcgs[objcg, REFS] == 0:
                    _release(run, cpu, objcg)
        elif event.kind == START:
            sums[:ODD_RELEASES] = 0
            sums[FIRST_STAT] = sums[STATS_OUT]
            _emit(state, np.int64(START), cpu, np.int64(ROOT), np.int64(0))
        elif event.kind == SAMPLE:
            _emit(state, np.int64(SAMPLE), cpu, np.int64(ROOT), np.int64(0))


@njit
def _slot_of(state, cpu, who):  # type: ignore[no-untyped-def]
    """Slot of a CPU's byte stock that serves an obj_cgroup; UNCACHED if none does."""
    for slot in range(state.stocks.shape[1]):
        if state.stocks[cpu, slot, WHO] == who:
            return slot
    return UNCACHED


@njit
def _refill(run, cpu, who, size, allow_uncharge):  # type: ignore[no-untyped-def]
    """refill_obj_stock()"""
    version, page_bytes, _, state = run
    slot = _slot_of(state, cpu, who)
    if slot == UNCACHED:
        slot = _switch(run, cpu, who)
        allow_uncharge = True
    stock = state.stocks[cpu, slot]
    stock[BYTES] += size
    if stock[BYTES] > page_bytes:
        if not version.carries_bytes:
            _drain(run, cpu, slot)
        elif allow_uncharge:
            whole = stock[BYTES] // page_bytes
            stock[BYTES] %= page_bytes
            _uncharge(run, cpu, who, whole, version.refill_to_stock)


@njit
def _switch(run, cpu, who):  # type: ignore[no-untyped-def]
    """An obj_cgroup takes an empty slot, or that whose turn it is; returns which."""
    version, _, _, state = run
    slot = _slot_of(state, cpu, UNCACHED)
    if slot == UNCACHED:
        slot = state.gathered[cpu, TURN]
        state.gathered[cpu, TURN] = (slot + 1) % state.stocks.shape[1]
        _drain(run, cpu, slot)
    state.sums[DEAD_REFS if state.objcgs[who, KILLED] else PERCPU_REFS] += 1
    state.objcgs[who, REFS] += 1
    state.stocks[cpu, slot, WHO] = who
    if state.objcgs[who, CHARGED] or not version.carries_bytes:
        state.sums[BYTE_ATOMICS] += 1
    state.stocks[cpu, slot, BYTES] = state.objcgs[who, CHARGED]
    state.objcgs[who, CHARGED] = 0
    return slot


@njit
def _account(run, cpu, who, item, delta):  # type: ignore[no-untyped-def]
    """mod_objcg_state() of 5.14, __account_obj_stock() of 6.16: gather statistics until they exceed a page."""
    _, page_bytes, _, state = run
    slots = state.stocks.shape[1]
    slot = _slot_of(state, cpu, who)
    if slot == UNCACHED and slots > 1:
        state.sums[STAT_UPDATES] += 1
        return
    if slot == UNCACHED:
        slot = _switch(run, cpu, who)
    if state.gathered[cpu, OWNER] != slot:
        _flush(state, cpu)
        state.gathered[cpu, OWNER] = slot
    before = state.gathered[cpu, item]
    over = before != 0 and abs(before + delta) > page_bytes
    over |= slots > 1 and abs(before + delta) >= S16_MAX
    state.sums[STAT_UPDATES] += over
    state.gathered[cpu, item] = 0 if over else before + delta


@njit
def _flush(state, cpu):  # type: ignore[no-untyped-def]
    for item in range(STATS, STATS + 2):
        state.sums[STAT_UPDATES] += state.gathered[cpu, item] != 0
        state.gathered[cpu, item] = 0


@njit
def _drain(run, cpu, slot):  # type: ignore[no-untyped-def]
    """drain_obj_stock()"""
    version, page_bytes, _, state = run
    stock, sums = state.stocks[cpu, slot], state.sums
    who = stock[WHO]
    if stock[BYTES]:
        whole = stock[BYTES] // page_bytes
        if whole:
            _uncharge(run, cpu, who, whole, version.drain_to_stock)
        state.objcgs[who, CHARGED] += stock[BYTES] % page_bytes
        sums[BYTE_ATOMICS] += 1
        stock[BYTES] = 0
    if state.gathered[cpu, OWNER] == slot:
        _flush(state, cpu)
    stock[WHO] = UNCACHED
    _put(run, cpu, who)


@njit
def _put(run, cpu, who):  # type: ignore[no-untyped-def]
    state = run[3]
    state.sums[DEAD_REFS if state.objcgs[who, KILLED] else PERCPU_REFS] += 1
    state.objcgs[who, REFS] -= 1
    if state.objcgs[who, REFS] == 0:
        _release(run, cpu, who)


@njit
def _release(run, cpu, who):  # type: ignore[no-untyped-def]
    """obj_cgroup_release(): what the CPUs left in nr_charged_bytes makes whole pages by now."""
    version, page_bytes, _, state = run
    charged = state.objcgs[who, CHARGED]
    state.sums[ODD_RELEASES] += charged % page_bytes != 0
    state.objcgs[who, CHARGED] = 0
    if charged >= page_bytes:
        _uncharge(run, cpu, who, charged // page_bytes, version.refill_to_stock)


@njit
def _uncharge(run, cpu, who, whole, to_stock):  # type: ignore[no-untyped-def]
    """obj_cgroup_uncharge_pages(): from the memcg, or from the parent it was reparented to."""
    version, _, each, state = run
    state.sums[PERCPU_REFS] += 2 * version.css_get_per_uncharge
    payer = np.int64(ROOT) if state.objcgs[who, KILLED] else who // each
    _emit(state, np.int64(FREE) if to_stock else np.int64(DIRECT_FREE), cpu, payer, whole)


@njit
def _emit(state, kind, cpu, memcg, count):  # type: ignore[no-untyped-def]
    event = state.pages[state.sums[PAGES_OUT]]
    event.kind, event.cpu, event.memcg, event.cache, event.pages, event.dead = kind, cpu, memcg, 0, count, 0
    state.sums[PAGES_OUT] += 1
