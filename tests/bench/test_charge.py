"""Lane-events per second of the stock: vector lanes, beside a plain loop in Numba and the same model in SimPy."""

from __future__ import annotations

import time

import numpy as np
import pytest
import simpy
from numba import njit

from core.charge.stock import DRAINS, HITS, LANES, columns_of, run_stock, single_slot
from core.events import ALLOC, FREE
from core.slabs.heap import PAGE_EVENT

EVENTS, CPUS, MEMCGS = 1_000_000, 64, 24
SIMPY_EVENTS = 20_000
REQUIRED = 1e9  # lane-events per second on one core, for 32 lanes
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


def best_of(rounds, run):
    """Return what `run` returns and the CPU seconds of its fastest round."""
    seconds = []
    for _ in range(rounds):
        began = time.process_time()
        result = run()
        seconds.append(time.process_time() - began)
    return result, min(seconds)


@pytest.mark.bench
def test_lane_events_per_second():
    """A core runs at least 1e9 lane-events per second through 32 lanes, and all three count the same."""
    events = page_events(EVENTS)
    columns = columns_of(events)
    few = events[:SIMPY_EVENTS]
    run_stock(few, BATCHES, cpus=CPUS, slots=1)
    plain(*(column[:10] for column in columns), 32, CPUS)

    (lanes, *_), lanes_s = best_of(ROUNDS, lambda: single_slot(*columns, BATCHES.astype(np.int32), CPUS))
    scalar, scalar_s = best_of(ROUNDS, lambda: [plain(*columns, batch, CPUS) for batch in BATCHES.tolist()])
    simulated, simpy_s = best_of(1, lambda: Simulated(few, 32))

    assert scalar == list(zip(lanes[HITS].tolist(), lanes[DRAINS].tolist(), strict=True))
    tally = run_stock(few, BATCHES[-1:], cpus=CPUS, slots=1)
    assert (simulated.hits, simulated.drains) == (tally.hits[0], tally.drains[0])
    rates = {
        f"{LANES} vector lanes": EVENTS * LANES / lanes_s,
        "plain loop in Numba": EVENTS * LANES / scalar_s,
        "SimPy": SIMPY_EVENTS / simpy_s,
    }
    for name, rate in rates.items():
        print(f"{name:20} {rate:12.3g} lane-events/s  1/{rates[f'{LANES} vector lanes'] / rate:.3g}")
    assert rates[f"{LANES} vector lanes"] >= REQUIRED
