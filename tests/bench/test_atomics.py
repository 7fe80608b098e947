"""Numba's atomics beside gcc's, and the vectorised queue beside a plain one."""

import ctypes
import os
import shutil
import statistics
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from core.prices.lines import Stations, queue
from sweep.calibrate import atomics
from sweep.calibrate.topology import usable_cpus

pytestmark = pytest.mark.bench
ROUNDS, OPERATIONS = 301, 10_000
LOOPS = {"add": (0, 1), "walk": (1 << 62, 3), "cas_add": (0, 1)}  # setting, lines
AT_MOST = 1.15  # the same instructions; the rest is noise of a machine that does other work


@pytest.fixture(scope="module")
def compiled(tmp_path_factory):
    """The C loops, compiled with gcc -O2."""
    if shutil.which("gcc") is None:
        pytest.skip("gcc is not there to compare with")
    library = tmp_path_factory.mktemp("c") / "atomics.so"
    source = Path(__file__).with_name("atomics.c")
    subprocess.run(["gcc", "-O2", "-shared", "-fPIC", "-o", library, source], check=True)
    return ctypes.CDLL(str(library))


@pytest.mark.parametrize("name", LOOPS)
def test_numba_costs_what_c_costs(name, compiled, capsys):
    """Alternating bursts of 10,000 operations on one CPU: the lower quartiles are within 15 %."""
    setting, lines = LOOPS[name]
    words = np.zeros((lines + 1) * atomics.LINE_WORDS, np.int64)
    start = words.ctypes.data + -words.ctypes.data % 128
    addresses = np.array([start + 128 * line for line in range(lines)], np.int64)
    c_loop, numba_loop = getattr(compiled, name), getattr(atomics, name)
    c_arguments = [ctypes.c_void_p(start), ctypes.c_int64(OPERATIONS), ctypes.c_int64(setting), ctypes.c_int64(lines)]

    def both():
        times = {"c": [], "numba": []}
        for _ in range(ROUNDS):
            began = time.perf_counter_ns()
            c_loop(*c_arguments)
            between = time.perf_counter_ns()
            numba_loop(addresses, 0, OPERATIONS, setting)
            times["c"].append(between - began)
            times["numba"].append(time.perf_counter_ns() - between)
        return {who: statistics.quantiles(values, n=4)[0] / OPERATIONS for who, values in times.items()}

    pinned = ThreadPoolExecutor(1, initializer=os.sched_setaffinity, initargs=(0, {usable_cpus()[0].cpu}))
    with pinned:
        ns = pinned.submit(both).result()
    with capsys.disabled():
        print(f"\n{name}: C {ns['c']:.2f} ns, Numba {ns['numba']:.2f} ns, ratio {ns['numba'] / ns['c']:.2f}")

    assert words[(start - words.ctypes.data) // 8] == 2 * ROUNDS * OPERATIONS
    assert ns["numba"] <= AT_MOST * ns["c"]


def plain_queue(cpus, think, visits, service):
    """Exact mean value analysis of one network, in plain Python."""
    found = [0.0] * len(visits)
    stay = list(service)
    for n in range(1, cpus + 1):
        stay = [s * (1 + q) for s, q in zip(service, found, strict=True)]
        rate = n / (think + sum(v * r for v, r in zip(visits, stay, strict=True)))
        found = [rate * v * r for v, r in zip(visits, stay, strict=True)]
    return stay


def test_queue_beside_a_plain_loop(capsys):
    """10,000 networks of 12 classes and up to 256 CPUs: the same times, at a tenth of the cost or less."""
    rng = np.random.default_rng(1)
    size, classes, sample = 10_000, 12, 200
    cpus = 1 << rng.integers(0, 9, size)
    think = rng.uniform(50, 500, size)
    visits, service = rng.random((classes, size)), rng.uniform(5, 200, (classes, size))
    one = np.ones_like(visits)
    began = time.perf_counter()
    together = queue(cpus, think, Stations(visits, one, service, service, 0 * one), variability=1.0)
    vectorised = (time.perf_counter() - began) / size
    began = time.perf_counter()
    plain = [plain_queue(int(cpus[i]), think[i], visits[:, i].tolist(), service[:, i].tolist()) for i in range(sample)]
    looped = (time.perf_counter() - began) / sample
    times = looped / vectorised
    with capsys.disabled():
        print(
            f"\nqueue: {vectorised * 1e6:.1f} us a point, plain loop {looped * 1e6:.0f} us, {times:.0f} times as long"
        )

    np.testing.assert_allclose(together[:, :sample], np.array(plain).T, rtol=1e-9)
    assert looped > 10 * vectorised
