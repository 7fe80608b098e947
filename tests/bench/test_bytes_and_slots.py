"""Stocks of several memcgs, and charging by bytes, beside scalar C that counts the same."""

from __future__ import annotations

import ctypes
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from core.blocks import packed
from core.charge.objcg import UNCACHED, run_objcg
from core.charge.stock import LANES, NOBODY, columns_of, empty_stocks, many_slots, run_stock
from core.designs.objcg import AS_OF
from core.events import ALLOC, EVENT, FREE
from core.slabs.heap import PAGE_EVENT
from tests.bench.test_stock import BATCHES, CPUS, EVENTS, address, page_events
from tests.support.contest import timed

pytestmark = pytest.mark.bench
SLOTS, ROUNDS, PAGE_BYTES, MEMCGS = 7, 5, 4096, 24
OBJECT_BYTES = np.array([64, 192, 256, 576, 1024, 4088])
RECLAIMABLE = np.array([False, True, False, True, False, False])
LEAST = 1 / 3  # of objcg: two fifths to a half was seen
FLAGS = ["-O3", "-march=native", "-shared", "-fPIC"]


@pytest.fixture(scope="module")
def in_c(tmp_path_factory):
    """Compile a C file for this machine."""
    if shutil.which("gcc") is None:
        pytest.skip("gcc is not there to compare with")
    folder = tmp_path_factory.mktemp("c")

    def library(name):
        subprocess.run(["gcc", *FLAGS, "-o", folder / name, Path(__file__).with_name(name)], check=True)
        return ctypes.CDLL(str(folder / name))

    return library


def test_stocks_of_several_memcgs(compete, in_c):
    """32 batches through a million page events, seven slots to a CPU: the same hits and drains."""
    library, events = in_c("slots.c"), page_events(EVENTS)
    columns = columns_of(events)
    for_c = [np.ascontiguousarray(c, t) for c, t in zip(columns, (np.uint8, *[np.int32] * 3), strict=True)]
    counts = np.zeros((LANES, 2), np.int32)

    def ours():
        many_slots(*columns, BATCHES.astype(np.int32), *empty_stocks(CPUS, SLOTS), turns(), SLOTS, True)

    def turns():
        return np.zeros((CPUS, LANES), np.int64)

    def scalar():
        counts[:] = 0
        for lane, batch in enumerate(BATCHES.tolist()):
            stocks = np.zeros((CPUS, 2 * SLOTS + 1), np.int32)
            stocks[:, :SLOTS] = NOBODY
            size, limit = ctypes.c_int64(EVENTS), ctypes.c_int32(batch)
            library.slots(*map(address, for_c), size, limit, address(stocks), address(counts[lane]))

    ours()
    rows = compete(
        f"Stocks of {SLOTS} memcgs: 32 batches, 1,000,000 page events, {CPUS} CPUs",
        {
            "this project": lambda: timed(ours) * 1e9 / (EVENTS * LANES),
            "C: a batch at a time": lambda: timed(scalar) * 1e9 / (EVENTS * LANES),
        },
        rounds=ROUNDS,
        unit="ns per lane and event",
    )
    tally = run_stock(columns, BATCHES, cpus=CPUS, slots=SLOTS, in_turn=True)

    np.testing.assert_array_equal(counts.T, [tally.hits, tally.drains])
    assert rows[1].times > 1 / 3


def object_events(objects):
    """Objects of changing memcgs, each freed some ten thousand events after it came, on CPUs in quanta of 20 events."""
    rng = np.random.default_rng(1)
    when = np.concatenate([np.arange(objects), np.arange(objects) + rng.exponential(5000, objects)])
    order = np.argsort(when, kind="stable")
    events = np.zeros(2 * objects, EVENT)
    events["kind"] = np.where(order < objects, ALLOC, FREE)
    events["object"] = order % objects
    quantum = np.arange(2 * objects) // 20
    events["cpu_hash"] = rng.integers(0, 1 << 32, quantum[-1] + 1, dtype=np.uint32)[quantum]
    events["memcg"] = rng.integers(1, MEMCGS + 1, quantum[-1] + 1)[quantum]
    events["cache"] = rng.integers(0, OBJECT_BYTES.size, objects)[order % objects]
    return events


@pytest.mark.parametrize("as_of", ["5.9", "6.1", "6.16"])
def test_charging_by_bytes(compete, in_c, as_of):
    """A million objects allocated or freed: the same atomics, references, statistics and pages."""
    library, events, version = in_c("objcg.c"), object_events(EVENTS // 2), AS_OF[as_of]
    window = packed(events)  # as windows are drawn
    rules = np.array(
        [
            *(version.carries_bytes, version.caches_stat, version.refill_to_stock, version.drain_to_stock),
            *(version.tryget_per_alloc, version.css_get_per_uncharge, PAGE_BYTES),
        ],
        np.int32,
    )
    full, items = OBJECT_BYTES + 8, RECLAIMABLE.astype(np.int64)
    sums, found = np.zeros(4, np.int64), {}

    def scalar():
        objects = np.full((EVENTS // 2, 2), UNCACHED, np.int32)
        stocks = np.zeros((CPUS, 4), np.int32)
        stocks[:, 0] = UNCACHED
        charged, out = np.zeros(MEMCGS + 1, np.int32), np.empty(4 * EVENTS, PAGE_EVENT)
        inputs = address(events), ctypes.c_int64(EVENTS), address(full), address(items), address(objects)
        library.charge(
            *inputs,
            address(stocks),
            address(charged),
            ctypes.c_int64(CPUS),
            address(rules),
            address(out),
            address(sums),
        )
        found["c"] = out[: sums[3]]

    def ours():
        how = {"cpus": CPUS, "nodes": 1, "page_bytes": PAGE_BYTES}
        found["ours"] = run_objcg(window, OBJECT_BYTES, RECLAIMABLE, version, **how)

    ours()
    rows = compete(
        f"Charging by bytes as of {as_of}: 1,000,000 objects allocated or freed, {CPUS} CPUs",
        {
            "this project": lambda: timed(ours) * 1e9 / EVENTS,
            "C": lambda: timed(scalar) * 1e9 / EVENTS,
        },
        rounds=ROUNDS,
        unit="ns per event",
    )
    trace = found["ours"]

    assert sums[:3].tolist() == [trace.byte_atomics, trace.percpu_refs, trace.stat_updates]
    for column, as_in_c in zip(trace.pages, columns_of(found["c"]), strict=True):
        np.testing.assert_array_equal(column, as_in_c)
    assert rows[1].times > LEAST
