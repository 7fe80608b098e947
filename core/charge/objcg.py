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

import numpy as np
from numpy.typing import NDArray

from core.bits import cpu_of_hash
from core.blocks import Window, cpu_that_frees
from core.charge.stock import DIRECT_FREE, PageEvents
from core.charge.vmstat import STAT_EVENT
from core.compiled import entry, part
from core.designs import ObjcgVersion
from core.events import ALLOC, FREE, OFFLINE, ROOT, SAMPLE, START

OBJCG_SLOT_BYTES = 8  # obj_full_size(): an object's slot in the slab's vector of obj_cgroups is charged too
UNCACHED = -1  # a byte stock that serves no obj_cgroup

# columns of the state arrays
WHO, BYTES = range(2)  # slot of a CPU's byte stock, `[cpus, slots, 2]`: cached objcg, bytes
# `[cpus, 4]`: slot whose two statistics are gathered, those, slot that goes next
OWNER, STATS, TURN = 0, 1, 3
S16_MAX = 32767  # statistics that several slots share are gathered in 16 bits
CHARGED, REFS, KILLED = range(3)  # obj_cgroup: nr_charged_bytes, references, killed
BYTE_ATOMICS, PERCPU_REFS, DEAD_REFS, STAT_UPDATES, ODD_RELEASES, PAGES_OUT, STATS_OUT, FIRST_STAT = range(8)


@dataclass(frozen=True)
class ObjcgTrace:
    """What charging by bytes came to.

    pages: ALLOC charges pages, FREE uncharges them to the page stock, DIRECT_FREE to the counters; OFFLINE, START,
    SAMPLE. stats: `STAT_EVENT` records in bytes, none with rstat, counted from `first_stat` on. byte_atomics: on
    nr_charged_bytes. percpu_refs, dead_refs: references on obj_cgroups and css taken or dropped, per CPU, or by atomics
    after offline. stat_updates: of a memcg and node, per CPU. live_bytes, stocked_bytes, left_bytes: charged bytes in
    objects, stocks and nr_charged_bytes at the end.
    """

    pages: PageEvents
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
    window: Window,
    object_bytes: NDArray[np.int64],
    reclaimable: NDArray[np.bool_],
    version: ObjcgVersion,
    *,
    cpus: int,
    nodes: int,
    page_bytes: int,
) -> ObjcgTrace:
    """Charge the objects of a window; object_bytes and reclaimable are `[caches]`.

    With `version.per_node` a memcg has an obj_cgroup for each node; CPU `c` is on node `c * nodes // cpus`.

    Raises AssertionError if an obj_cgroup is released with bytes that do not make whole pages.
    """
    each = nodes if version.per_node else 1
    stocks = np.zeros((cpus, version.byte_slots, 2), np.int64)
    stocks[:, :, WHO] = UNCACHED
    gathered = np.zeros((cpus, 4), np.int64)
    objcgs = np.zeros((window.memcgs * each, 3), np.int64)
    objcgs[:, REFS] = 1
    sums = np.zeros(8, np.int64)
    # most that an event can cause: charge, drain, refill, and a release of each node's obj_cgroup
    pages = np.empty((len(PageEvents._fields), (3 + each) * window.size), np.int32)
    stats = np.empty(0 if version.rstat else window.size, STAT_EVENT)
    objects = np.full((window.objects, 2), UNCACHED, np.int32)
    full = object_bytes + OBJCG_SLOT_BYTES
    items = reclaimable.astype(np.int64)
    _charge(window, full, items, objects, stats, stocks, gathered, objcgs, sums, pages, (version, page_bytes, each))
    if sums[ODD_RELEASES]:
        raise AssertionError(f"objcg: {sums[ODD_RELEASES]} obj_cgroups released with bytes that are no whole pages")
    held = objects[objects[:, 0] != UNCACHED]
    return ObjcgTrace(
        pages=PageEvents(*pages[:, : sums[PAGES_OUT]]),
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


@entry
def _charge(window, full, items, objects, stats, stocks, gathered, objcgs, sums, pages, rules):  # type: ignore[no-untyped-def]
    """`rules`: version, bytes of a page, obj_cgroups of a memcg."""
    cpus, slots = stocks.shape[:2]
    version, page_bytes, each = rules
    for at_block in range(window.blocks.size):
        block = window.blocks[at_block]
        events, memcg, here = window.events[block.drawn], np.int64(block.memcg), cpu_of_hash(block.cpu_hash, cpus)
        payer = UNCACHED if memcg == ROOT else memcg * each + here * each // cpus
        for i in range(block.first, block.end):
            event, cpu = events[i], here
            if event.kind in (ALLOC, FREE):
                allocates = event.kind == ALLOC
                me = objects[event.object]
                if allocates:
                    me[0], me[1] = payer, event.detail
                else:
                    cpu = cpu_that_frees(block, event, here, cpus)
                who, size = np.int64(me[0]), full[me[1]]
                if who == UNCACHED:
                    continue
                slot = UNCACHED
                for at in range(slots):
                    if stocks[cpu, at, WHO] == who:
                        slot = at
                        break
                if allocates:
                    sums[PERCPU_REFS] += 3 if version.tryget_per_alloc else 1
                    objcgs[who, REFS] += 1
                    if slot != UNCACHED and stocks[cpu, slot, BYTES] >= size:
                        stocks[cpu, slot, BYTES] -= size
                    else:
                        sums[PERCPU_REFS] += 2  # css_get() and css_put() around the charge
                        _emit(pages, sums, np.int64(ALLOC), cpu, who // each, (size + page_bytes - 1) // page_bytes)
                        rest = -size % page_bytes
                        if rest:
                            slot = _refill(
                                stocks, gathered, objcgs, sums, pages, rules, cpu, who, slot, rest, not allocates
                            )
                elif slot != UNCACHED and stocks[cpu, slot, BYTES] + size <= page_bytes:
                    stocks[cpu, slot, BYTES] += size
                else:
                    slot = _refill(stocks, gathered, objcgs, sums, pages, rules, cpu, who, slot, size, not allocates)
                delta = size if allocates else -size
                if version.caches_stat and slot != UNCACHED and gathered[cpu, OWNER] == slot:
                    item = STATS + items[me[1]]
                    before, after = gathered[cpu, item], gathered[cpu, item] + delta
                    over = (before != 0 and abs(after) > page_bytes) or (slots > 1 and abs(after) >= S16_MAX)
                    sums[STAT_UPDATES] += over
                    gathered[cpu, item] = 0 if over else after
                elif version.caches_stat:
                    _account(stocks, gathered, objcgs, sums, pages, rules, cpu, who, slot, STATS + items[me[1]], delta)
                else:
                    sums[STAT_UPDATES] += 1
                if not version.rstat:
                    stat = stats[sums[STATS_OUT]]
                    stat.cpu, stat.item, stat.delta = cpu, items[me[1]], delta
                    stat.memcg = ROOT if objcgs[who, KILLED] else who // each
                    sums[STATS_OUT] += 1
                if not allocates:
                    me[0] = UNCACHED
                    sums[DEAD_REFS if objcgs[who, KILLED] else PERCPU_REFS] += 1
                    objcgs[who, REFS] -= 1
                    if objcgs[who, REFS] == 0:
                        _release(objcgs, sums, pages, rules, cpu, who)
            elif event.kind == OFFLINE:
                first = memcg * each
                objcgs[first : first + each, KILLED] = 1
                _emit(pages, sums, np.int64(OFFLINE), cpu, memcg, np.int64(0))
                for objcg in range(first, first + each):
                    objcgs[objcg, REFS] -= 1
                    if objcgs[objcg, REFS] == 0:
                        _release(objcgs, sums, pages, rules, cpu, objcg)
            elif event.kind == START:
                sums[:ODD_RELEASES] = 0
                sums[FIRST_STAT] = sums[STATS_OUT]
                _emit(pages, sums, np.int64(START), cpu, np.int64(ROOT), np.int64(0))
            elif event.kind == SAMPLE:
                _emit(pages, sums, np.int64(SAMPLE), cpu, np.int64(ROOT), np.int64(0))


@part
def _refill(stocks, gathered, objcgs, sums, pages, rules, cpu, who, slot, size, allow_uncharge):  # type: ignore[no-untyped-def]
    """refill_obj_stock(): into the slot that serves the obj_cgroup, if one does; returns which, UNCACHED if emptied."""
    version, page_bytes, _ = rules
    if slot == UNCACHED:
        slot = _switch(stocks, gathered, objcgs, sums, pages, rules, cpu, who)
        allow_uncharge = True
    stocks[cpu, slot, BYTES] += size
    if stocks[cpu, slot, BYTES] > page_bytes:
        if not version.carries_bytes:
            _drain(stocks, gathered, objcgs, sums, pages, rules, cpu, slot)
            return UNCACHED
        if allow_uncharge:
            whole = stocks[cpu, slot, BYTES] // page_bytes
            stocks[cpu, slot, BYTES] %= page_bytes
            _uncharge(objcgs, sums, pages, rules, cpu, who, whole, version.refill_to_stock)
    return slot


@part
def _switch(stocks, gathered, objcgs, sums, pages, rules, cpu, who):  # type: ignore[no-untyped-def]
    """An obj_cgroup takes an empty slot, or that whose turn it is; returns which."""
    slot = UNCACHED
    for at in range(stocks.shape[1]):
        if stocks[cpu, at, WHO] == UNCACHED:
            slot = at
            break
    if slot == UNCACHED:
        slot = gathered[cpu, TURN]
        gathered[cpu, TURN] = (slot + 1) % stocks.shape[1]
        _drain(stocks, gathered, objcgs, sums, pages, rules, cpu, slot)
    sums[DEAD_REFS if objcgs[who, KILLED] else PERCPU_REFS] += 1
    objcgs[who, REFS] += 1
    stocks[cpu, slot, WHO] = who
    if objcgs[who, CHARGED] or not rules[0].carries_bytes:
        sums[BYTE_ATOMICS] += 1
    stocks[cpu, slot, BYTES] = objcgs[who, CHARGED]
    objcgs[who, CHARGED] = 0
    return slot


@part
def _account(stocks, gathered, objcgs, sums, pages, rules, cpu, who, slot, item, delta):  # type: ignore[no-untyped-def]
    """mod_objcg_state() of 5.14, __account_obj_stock() of 6.16, where the statistics gathered are of another slot."""
    slots = stocks.shape[1]
    if slot == UNCACHED and slots > 1:
        sums[STAT_UPDATES] += 1
        return
    if slot == UNCACHED:
        slot = _switch(stocks, gathered, objcgs, sums, pages, rules, cpu, who)
    _flush(gathered, sums, cpu)
    gathered[cpu, OWNER] = slot
    direct = slots > 1 and abs(delta) >= S16_MAX
    sums[STAT_UPDATES] += direct
    gathered[cpu, item] = 0 if direct else delta


@part
def _flush(gathered, sums, cpu):  # type: ignore[no-untyped-def]
    for item in range(STATS, STATS + 2):
        sums[STAT_UPDATES] += gathered[cpu, item] != 0
        gathered[cpu, item] = 0


@part
def _drain(stocks, gathered, objcgs, sums, pages, rules, cpu, slot):  # type: ignore[no-untyped-def]
    """drain_obj_stock()"""
    version, page_bytes, _ = rules
    who, held = stocks[cpu, slot, WHO], stocks[cpu, slot, BYTES]
    if held:
        whole = held // page_bytes
        if whole:
            _uncharge(objcgs, sums, pages, rules, cpu, who, whole, version.drain_to_stock)
        objcgs[who, CHARGED] += held % page_bytes
        sums[BYTE_ATOMICS] += 1
        stocks[cpu, slot, BYTES] = 0
    if gathered[cpu, OWNER] == slot:
        _flush(gathered, sums, cpu)
    stocks[cpu, slot, WHO] = UNCACHED
    _put(objcgs, sums, pages, rules, cpu, who)


@part
def _put(objcgs, sums, pages, rules, cpu, who):  # type: ignore[no-untyped-def]
    sums[DEAD_REFS if objcgs[who, KILLED] else PERCPU_REFS] += 1
    objcgs[who, REFS] -= 1
    if objcgs[who, REFS] == 0:
        _release(objcgs, sums, pages, rules, cpu, who)


@part
def _release(objcgs, sums, pages, rules, cpu, who):  # type: ignore[no-untyped-def]
    """obj_cgroup_release(): what the CPUs left in nr_charged_bytes makes whole pages by now."""
    version, page_bytes, _ = rules
    charged = objcgs[who, CHARGED]
    sums[ODD_RELEASES] += charged % page_bytes != 0
    objcgs[who, CHARGED] = 0
    if charged >= page_bytes:
        _uncharge(objcgs, sums, pages, rules, cpu, who, charged // page_bytes, version.refill_to_stock)


@part
def _uncharge(objcgs, sums, pages, rules, cpu, who, whole, to_stock):  # type: ignore[no-untyped-def]
    """obj_cgroup_uncharge_pages(): from the memcg, or from the parent it was reparented to."""
    version, _, each = rules
    sums[PERCPU_REFS] += 2 * version.css_get_per_uncharge
    payer = np.int64(ROOT) if objcgs[who, KILLED] else who // each
    _emit(pages, sums, np.int64(FREE) if to_stock else np.int64(DIRECT_FREE), cpu, payer, whole)


@part
def _emit(pages, sums, kind, cpu, memcg, count):  # type: ignore[no-untyped-def]
    at = sums[PAGES_OUT]
    pages[0, at], pages[1, at], pages[2, at], pages[3, at] = kind, cpu, 2 * memcg, count
    sums[PAGES_OUT] += 1
