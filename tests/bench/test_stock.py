"""The stock of all batches at once, beside C of one batch and of vector lanes, plain Numba and SimPy."""

from __future__ import annotations

import ctypes
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import simpy
from numba import njit

from core.charge.stock import DRAINS, HITS, LANES, NOBODY, columns_of, empty_stocks, run_stock, single_slot
from core.events import ALLOC, FREE
from core.slabs.heap import PAGE_EVENT
from tests.support.contest import timed

EVENTS, CPUS, MEMCGS = 1_000_000, 64, 24
SIMPY_EVENTS = 20_000
ROUNDS = 5
BATCHES = np.arange(1, LANES + 1)


def page_events(count):
    """Slab pages of 1 to 8, charged and uncharged; a CPU changes its memcg every 20 events."""
    rng = np.random.default_rng(1)
    events = np.zeros(count, PAGE_EVENT)
    events["kind"] = rng.choice([ALLOC, FREE], count)
    events["cpu"] = rng.integers(0, CPUS, count)
    events["memcg"] = 1 + (np.arange(count) // (20 * CPUS) + events["cpu"]) % MEMCGS
    events["pages"] = 1 << rng.integers(0, 4, count)
    return events


@njit
def plain(kinds, cpu_of, memcg_of, pages_of, batch, cpus):
    """One batch, one event at a time, as one would write it first."""
    who, held = np.full(cpus, -1), np.zeros(cpus, np.int64)
    hits = drains = 0
    for i in range(kinds.size):
        cpu, memcg, pages = cpu_of[i], memcg_of[i], pages_of[i]
        if kinds[i] == ALLOC:
            if who[cpu] == memcg and held[cpu] >= pages and pages <= batch:
                held[cpu] -= pages
                hits += 1
                continue
            put = batch - pages
            if put <= 0:
                continue
        else:
            put = pages
        if who[cpu] != memcg:
            drains += held[cpu] > 0
            who[cpu], held[cpu] = memcg, 0
        held[cpu] += put
        if held[cpu] > batch:
            drains += 1
            who[cpu], held[cpu] = -1, 0
    return hits, drains


class Simulated:
    """The same in SimPy: a process per CPU, which waits for its next event and handles it."""

    def __init__(self, events, batch):
        self.batch, self.hits, self.drains = batch, 0, 0
        self.environment = simpy.Environment()
        for cpu in range(CPUS):
            mine = np.flatnonzero(events["cpu"] == cpu)
            fields = [events[name][mine].tolist() for name in ("kind", "memcg", "pages")]
            self.environment.process(self.cpu(list(zip(mine.tolist(), *fields, strict=True))))
        self.environment.run()

    def cpu(self, events):
        who, held = -1, 0
        for at, kind, memcg, pages in events:
            yield self.environment.timeout(at - self.environment.now)
            if kind == ALLOC and who == memcg and held >= pages and pages <= self.batch:
                held -= pages
                self.hits += 1
                continue
            put = self.batch - pages if kind == ALLOC else pages
            if put > 0:
                if who != memcg:
                    self.drains += held > 0
                    who, held = memcg, 0
                held += put
                if held > self.batch:
                    self.drains += 1
                    who, held = -1, 0


@pytest.fixture(scope="module")
def in_c(tmp_path_factory):
    """stock.c, compiled for this machine."""
    if shutil.which("gcc") is None:
        pytest.skip("gcc is not there to compare with")
    library = tmp_path_factory.mktemp("c") / "stock.so"
    flags = ["-O3", "-march=native", "-mprefer-vector-width=512", "-shared", "-fPIC"]
    subprocess.run(["gcc", *flags, "-o", library, Path(__file__).with_name("stock.c")], check=True)
    return ctypes.CDLL(str(library))


def address(array):
    """The address of an array, for C."""
    return ctypes.c_void_p(array.ctypes.data)


def scalar_c(in_c, columns):
    """Every batch by itself; returns hits and drains, `[LANES]` each."""
    counts = np.zeros((LANES, 2), np.int32)
    for lane, batch in enumerate(BATCHES.tolist()):
        stock = np.zeros((CPUS, 2), np.int32)
        stock[:, 0] = NOBODY
        pointers = map(address, columns)
        in_c.scalar(*pointers, ctypes.c_int64(EVENTS), ctypes.c_int32(batch), address(stock), address(counts[lane]))
    return counts.T.tolist()


def lanes_c(in_c, columns):
    """All batches as lanes; returns hits and drains, `[LANES]` each."""
    batches, counts = BATCHES.astype(np.int32), np.zeros((2, LANES), np.int32)
    stock = np.zeros((CPUS, 2, LANES), np.int32)
    stock[:, 0] = NOBODY
    pointers = map(address, columns)
    in_c.lanes(
        *pointers, ctypes.c_int64(EVENTS), address(batches), address(stock), address(counts[0]), address(counts[1])
    )
    return counts.tolist()


@pytest.mark.bench
def test_stock_of_all_batches(compete, in_c):
    """32 batches through a million page events: all count the same, and lanes pay."""
    events = page_events(EVENTS)
    columns = columns_of(events)
    for_c = [np.ascontiguousarray(c, t) for c, t in zip(columns, (np.uint8, *[np.int32] * 3), strict=True)]
    few = events[:SIMPY_EVENTS]
    counted = {}

    def counting(name, run):
        def once():
            took = timed(lambda: counted.__setitem__(name, run()))
            return took * 1e9 / (EVENTS * LANES)

        return once

    def numba_lanes():
        stock, sums = empty_stocks(CPUS, 1)
        single_slot(*columns, BATCHES.astype(np.int32), stock, sums)
        return [sums[HITS].tolist(), sums[DRAINS].tolist()]

    def numba_plain():
        return [list(each) for each in zip(*(plain(*columns, batch, CPUS) for batch in BATCHES.tolist()), strict=True)]

    numba_lanes(), plain(*(column[:10] for column in columns), 32, CPUS)
    rows = compete(
        "Stock: 32 batches, 1,000,000 page events, 64 CPUs",
        {
            "this project: vector lanes, eight counts": counting("ours", numba_lanes),
            "C: vector lanes, two counts": counting("lanes", lambda: lanes_c(in_c, for_c)),
            "C: a batch at a time": counting("scalar", lambda: scalar_c(in_c, for_c)),
            "Numba: a batch at a time": counting("plain", numba_plain),
            "SimPy: a batch at a time": lambda: timed(lambda: Simulated(few, 32)) * 1e9 / SIMPY_EVENTS,
        },
        rounds=ROUNDS,
        unit="ns per lane and event",
    )
    simulated, tally = Simulated(few, 32), run_stock(columns_of(few), BATCHES[-1:], cpus=CPUS, slots=1)

    assert counted["lanes"] == counted["scalar"] == counted["plain"] == counted["ours"]
    assert (simulated.hits, simulated.drains) == (tally.hits[0], tally.drains[0])
    assert {row.contestant: row.times for row in rows}["C: a batch at a time"] > 1
