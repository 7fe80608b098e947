"""What calibration measures: each loop, on which CPUs, over which lines, and what its counters must say in the end.

Rows of role `fit` make the price table. Rows of role `check` are kept out of it: the model has to predict them.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence

from sweep.calibrate import atomics
from sweep.calibrate.bursts import LINES, Check, Series, ping_pong
from sweep.calibrate.topology import CLASSES, Cpu, distance

NO_LIMIT = 1 << 62
THINK = (2, 5, 10, 20, 40, 80, 160)  # dependent multiplications, some 2 ns each
BATCHES = (1, 32, 64)
PAIRS = 4  # of each class: all pairs of 128 CPUs would be 8128
CHASED = 64  # lines of one turn; the flag that passes the turn on is the 65th


def single(cpu: Cpu) -> Iterator[Series]:
    """Yield what one CPU does alone."""
    one = [cpu]
    yield Series("plain", atomics.plain_add, one, [[0]], _total(1), role="fit")
    yield Series("add", atomics.add, one, [[0]], _total(1), role="fit")
    yield Series("xadd", atomics.walk, one, [[0]], _total(1), NO_LIMIT, role="fit", shown=0)
    yield Series("percpu_ref", atomics.percpu_get_put, one, [[10, 9]], lambda w, _: not w.any(), role="fit")
    yield Series("list_push", atomics.list_push, one, [[0, 1]], _pushed(1), role="fit")
    yield Series("cas", atomics.cas_add, one, [[0]], _total(1), role="fit")
    for steps in THINK:
        yield Series("think", atomics.think, one, [[0]], _total(1), steps, role="fit")


def pair(two: Sequence[Cpu], home: Cpu | None) -> Iterator[Series]:
    """Yield what a line's way from one CPU to another takes, with the line homed on the node of `home`."""
    ring = [0, *random.Random(0).sample(range(1, LINES), CHASED)]
    passed: Check = lambda w, done: bool((w[ring, 0] == 2 * done).all())  # noqa: E731
    yield ping_pong(two, role="fit", home=home)
    for name, loop in (("chase", atomics.chase), ("gather", atomics.gather)):
        yield Series(name, loop, two, [ring] * 2, passed, 0, "fit", home, operations=2 * len(ring))


def hammer(cpus: Sequence[Cpu]) -> Series:
    """All CPUs fetch-add on one line and use the result."""
    return Series("hammer", atomics.walk, cpus, [[0]] * len(cpus), _total(len(cpus)), NO_LIMIT, role="fit", shown=0)


def pressure(cpus: Sequence[Cpu]) -> Iterator[Series]:
    """Yield what CPUs do that think between their operations on one line."""
    for steps in THINK:
        yield Series("think", atomics.think, cpus, [[0]] * len(cpus), _total(len(cpus)), steps, role="fit")


def shapes(cpus: Sequence[Cpu]) -> Iterator[Series]:
    """Yield the kernel's shapes: walks of page counters, stocks, references, a locked list. The control has a race."""
    n = len(cpus)
    for levels in range(1, 5):
        shared = list(range(levels))
        yield Series("walk", atomics.walk, cpus, [shared] * n, _each(shared, n), NO_LIMIT, shown=levels)
    own = [[10 + me, 0] for me in range(n)]
    yield Series("leaf_root", atomics.walk, cpus, own, _total(n), NO_LIMIT, shown=0)
    for batch in BATCHES:
        lines = [[10 + me, 0, 1, 2] for me in range(n)]
        yield Series("stock", atomics.stock, cpus, lines, _stocked(n), batch)
    yield Series("reference", atomics.get_put, cpus, [[0]] * n, lambda w, _: w[0, 0] == 0)
    percpu = [[10 + me, 9] for me in range(n)]
    yield Series("percpu_ref", atomics.percpu_get_put, cpus, percpu, lambda w, _: not w.any())
    yield Series("list_push", atomics.list_push, cpus, [[0, 1]] * n, _pushed(n))
    fewer: Check = lambda w, done: w[0, 0] < n * done  # noqa: E731
    yield Series("lost_updates", atomics.plain_add, cpus, [[0]] * n, fewer, role="control")


def pairs_by_class(cpus: Sequence[Cpu]) -> Iterator[tuple[str, tuple[Cpu, Cpu], Cpu | None]]:
    """Yield class, pair and home: up to PAIRS pairs of each class, with the line homed here and on another node."""
    drawn = random.Random(0)
    found: dict[str, list[tuple[Cpu, Cpu]]] = {name: [] for name in CLASSES}
    for a in drawn.sample(cpus, min(len(cpus), 64)):
        for b in drawn.sample(cpus, min(len(cpus), 64)):
            if a.cpu < b.cpu:
                found[distance(a, b)].append((a, b))
    for name, pairs in found.items():
        for two in drawn.sample(pairs, min(len(pairs), PAIRS)):
            yield name, two, None
            elsewhere = [cpu for cpu in cpus if cpu.node not in (two[0].node, two[1].node)]
            if name != "smt" and elsewhere:
                yield f"{name}_far_home", two, elsewhere[0]


def counts_of_cpus(cpus: Sequence[Cpu]) -> list[int]:
    """N of the N-curve: powers of two, 3, all cores, all threads."""
    total = len(cpus)
    cores = len({(cpu.socket, cpu.core) for cpu in cpus})
    return sorted({n for n in (2, 3, cores, total, *(1 << k for k in range(2, 12))) if 2 <= n <= total})


def _total(threads: int) -> Check:
    return lambda w, done: w[0, 0] == threads * done


def _each(lines: Sequence[int], threads: int) -> Check:
    return lambda w, done: bool((w[list(lines), 0] == threads * done).all())


def _pushed(threads: int) -> Check:
    return lambda w, done: w[0, 0] == 0 and w[1, 0] == threads * done


def _stocked(threads: int) -> Check:
    return lambda w, done: all(w[level, 0] - w[10 : 10 + threads, 0].sum() == threads * done for level in range(3))
