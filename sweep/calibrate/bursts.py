"""Short bursts of a loop on pinned threads, and which of them to believe.

A machine that does other work spoils most long measurements and few short ones. So a measurement is many bursts of
about 100 us. A burst counts if its threads ran at the same time: their windows overlap by 85 % or more. A round of
bursts counts if its CPUs stayed where they were: a ping-pong before and one after take the same time. That matters in
a virtual machine, whose CPUs are moved between cores, caches and sockets without notice.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sweep.calibrate import atomics
from sweep.calibrate.topology import Cpu

BURST_NS = 100e3
BURSTS = 20  # in a round
OVERLAP = 0.85
LEAST_TURNS = 8  # two threads that take turns end half a turn apart, which must stay within the overlap
SAME_PLACE = 0.2  # relative difference of two ping-pongs between which nothing moved
LINES = 128  # of an arena
_BYTES = 8 * atomics.LINE_WORDS

Check = Callable[[NDArray[np.int64], int], bool]


@dataclass(frozen=True)
class Round:
    """Some bursts: ns per operation and thread (median of those kept), bursts kept, place before and after in ns."""

    ns: float
    kept: int
    before_ns: float
    after_ns: float

    @property
    def stayed(self) -> bool:
        """Whether the CPUs were at the same distance before and after."""
        return near(self.before_ns, self.after_ns, SAME_PLACE)


@dataclass
class Series:
    """One loop in one setting on some CPUs, measured in rounds.

    lines: for each thread, the numbers of the lines it uses, rows of `words` (`[LINES, LINE_WORDS]`, int64).
    check: whether `words` are what `done` operations per thread leave behind.
    """

    name: str
    loop: Any
    cpus: Sequence[Cpu]
    lines: Sequence[Sequence[int]]
    check: Check
    setting: int = 0
    role: str = "check"  # fit, check or control
    home: Cpu | None = None  # whose node the lines are on; null: that of the first CPU
    operations: int = 1  # of one turn of the loop
    shown: int | None = None  # the setting to show where it is not that of the loop: levels of a walk
    words: NDArray[np.int64] = field(init=False)
    addresses: list[NDArray[np.int64]] = field(init=False)
    turns: int = field(init=False)
    done: int = 0
    rounds: list[Round] = field(default_factory=list)

    @property
    def verified(self) -> bool:
        """Whether the counters are what they must be: no update was lost, none invented."""
        return self.check(self.words, self.done)


class Bench:
    """Threads that stay on their CPUs, and the clock."""

    def __init__(self, cpus: Sequence[Cpu]) -> None:
        self._threads = {
            cpu: ThreadPoolExecutor(1, f"cpu{cpu.cpu}", os.sched_setaffinity, (0, {cpu.cpu})) for cpu in cpus
        }
        self._places: dict[tuple[Cpu, ...], Series] = {}
        self.ns_per_cycle = self._clock(cpus[0])

    def close(self) -> None:
        """End the threads."""
        for thread in self._threads.values():
            thread.shutdown()

    def prepare(self, series: Series) -> None:
        """Give a series its memory, on the node of its home: whoever touches a page first decides."""
        series.turns = max(LEAST_TURNS, 200 // series.operations)
        home = series.home or series.cpus[0]
        series.words = self._threads[home].submit(_arena).result()
        base = series.words.ctypes.data
        series.addresses = [np.array([base + _BYTES * line for line in lines], np.int64) for lines in series.lines]

    def measure(self, series: Series) -> None:
        """Add a round to a series. It may come to nothing: no burst is kept on a machine that is too busy."""
        before = self._place_ns(series)
        ns, kept = self._round(series, BURSTS)
        if not kept:
            series.turns = max(LEAST_TURNS, series.turns // 2)  # a shorter burst is more likely to be left alone
            return
        series.turns = max(LEAST_TURNS, int(BURST_NS / ns / series.operations))
        series.rounds.append(Round(ns, kept, before, self._place_ns(series)))

    def _place_ns(self, series: Series) -> float:
        """One-way time between the first and the last CPU of a series; 0 if there is one."""
        if len(series.cpus) == 1:
            return 0.0
        pair = (series.cpus[0], series.cpus[-1])
        if pair not in self._places:
            self._places[pair] = ping_pong(pair)
            self.prepare(self._places[pair])
        ns, _ = self._round(self._places[pair], BURSTS // 2)
        return ns

    def _round(self, series: Series, bursts: int) -> tuple[float, int]:
        cycles = self._run(series, bursts)
        first, last = cycles[:, :, 0], cycles[:, :, 1]
        overlap = (last.min(axis=0) - first.max(axis=0)) / (last.max(axis=0) - first.min(axis=0))
        keep = overlap >= OVERLAP
        ns = (last - first).mean(axis=0) * self.ns_per_cycle / (series.turns * series.operations)
        return float(np.median(ns[keep] if keep.any() else ns)), int(keep.sum())

    def _run(self, series: Series, bursts: int) -> NDArray[np.int64]:
        """Return first and last cycle of every burst, `[threads, bursts, 2]`."""
        threads = len(series.cpus)
        gate = np.zeros(atomics.LINE_WORDS, np.int64)
        windows = np.zeros((threads, bursts, 2), np.int64)
        gate_at = np.array([gate.ctypes.data], np.int64)
        running = [
            self._threads[cpu].submit(
                atomics.bursts, series.loop, at, gate_at, threads, me, series.turns, series.setting, windows[me]
            )
            for me, (cpu, at) in enumerate(zip(series.cpus, series.addresses, strict=True))
        ]
        wait(running)
        for each in running:
            each.result()
        series.done += bursts * series.turns
        return windows

    def _clock(self, cpu: Cpu) -> float:
        """Nanoseconds per cycle of the counter, against the system's clock over 50 ms: good to 0.1 %."""

        def ratio() -> float:
            cycles, ns = atomics.now(), time.perf_counter_ns()
            time.sleep(0.05)
            return float((time.perf_counter_ns() - ns) / (atomics.now() - cycles))

        return float(np.median([self._threads[cpu].submit(ratio).result() for _ in range(3)]))


def near(a: float, b: float, tolerance: float) -> bool:
    """Whether two values differ by at most `tolerance` of the smaller one."""
    return abs(a - b) <= tolerance * min(a, b)


def ping_pong(pair: Sequence[Cpu], **options: Any) -> Series:
    """Compare-and-swap ping-pong of two CPUs; a turn is two one-way trips."""
    passed: Check = lambda w, done: w[0, 0] == 2 * done  # noqa: E731
    return Series("ping_pong", atomics.cas_ping_pong, pair, [[0]] * 2, passed, operations=2, **options)


def _arena() -> NDArray[np.int64]:
    """Lines on whole pages, touched by the calling thread."""
    raw = np.zeros(LINES * atomics.LINE_WORDS + 512, np.int64)
    skip = -raw.ctypes.data % 4096 // 8
    words: NDArray[np.int64] = raw[skip : skip + LINES * atomics.LINE_WORDS].reshape(LINES, atomics.LINE_WORDS)
    words[:] = 0
    return words
