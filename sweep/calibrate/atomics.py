"""Hardware atomics from Numba, and the loops whose time calibration reads.

Every loop is timed in bursts of some 100 us by its own threads: they meet at a gate in shared memory, read the
processor's cycle counter, run, and read it again. A burst counts only if its threads really ran at the same time
(`sweep.calibrate.job`), which is what makes the numbers usable on a machine that does other work.
"""

from __future__ import annotations

import platform
from collections.abc import Callable
from typing import Any

import llvmlite.binding as llvm
import numpy as np
from llvmlite import ir
from numba import int64, njit, types, void
from numba.extending import intrinsic
from numpy.typing import NDArray

llvm.initialize_native_asmparser()  # else LLVM aborts the process at the inline `pause`

LINE_WORDS = 16  # 128 bytes: a cache line and the adjacent one that prefetchers pull along
_PAUSE = {"x86_64": "pause", "aarch64": "yield"}.get(platform.machine(), "nop")
_i64 = ir.IntType(64)


def _pointer(builder: ir.IRBuilder, address: ir.Value) -> ir.Value:
    return builder.inttoptr(address, _i64.as_pointer())


@intrinsic
def fetch_add(_typing: Any, address: Any, value: Any) -> Any:
    """atomic_add_return(): `lock xadd` on x86, `ldadd` on Arm with LSE, else a LL/SC loop. Returns the old value."""

    def generate(context: Any, builder: ir.IRBuilder, _signature: Any, args: Any) -> ir.Value:
        return builder.atomic_rmw("add", _pointer(builder, args[0]), args[1], "seq_cst")

    return int64(int64, int64), generate


@intrinsic
def compare_exchange(_typing: Any, address: Any, old: Any, new: Any) -> Any:
    """atomic_try_cmpxchg(): store `new` if the word holds `old`. Returns 1 if it did."""

    def generate(context: Any, builder: ir.IRBuilder, _signature: Any, args: Any) -> ir.Value:
        pair = builder.cmpxchg(_pointer(builder, args[0]), args[1], args[2], "seq_cst", "monotonic")
        return builder.zext(builder.extract_value(pair, 1), _i64)

    return int64(int64, int64, int64), generate


@intrinsic
def load_acquire(_typing: Any, address: Any) -> Any:
    """smp_load_acquire(): a load that is neither hoisted nor folded."""

    def generate(context: Any, builder: ir.IRBuilder, _signature: Any, args: Any) -> ir.Value:
        return builder.load_atomic(_pointer(builder, args[0]), "acquire", 8)

    return int64(int64), generate


@intrinsic
def store(_typing: Any, address: Any, value: Any) -> Any:
    """smp_store_release(): a store that is neither merged nor dropped."""

    def generate(context: Any, builder: ir.IRBuilder, _signature: Any, args: Any) -> ir.Value:
        builder.store_atomic(args[1], _pointer(builder, args[0]), "release", 8)
        return context.get_dummy_value()

    return void(int64, int64), generate


@intrinsic
def pause(_typing: Any) -> Any:
    """cpu_relax()."""

    def generate(context: Any, builder: ir.IRBuilder, _signature: Any, args: Any) -> ir.Value:
        builder.asm(ir.FunctionType(ir.VoidType(), []), _PAUSE, "~{memory}", [], True)
        return context.get_dummy_value()

    return void(), generate


@intrinsic
def cycles(_typing: Any) -> Any:
    """get_cycles(): the time-stamp counter on x86, CNTVCT_EL0 on Arm."""

    def generate(context: Any, builder: ir.IRBuilder, _signature: Any, args: Any) -> ir.Value:
        counter = builder.module.declare_intrinsic("llvm.readcyclecounter", (), ir.FunctionType(_i64, []))
        return builder.call(counter, [])

    return int64(), generate


Words = NDArray[np.int64]
Loop = Callable[[Words, int, int, int], int]
_LOOP = int64(types.Array(int64, 1, "C", readonly=False), int64, int64, int64)
"""lines: addresses of the lines this thread uses; me: its number; n: operations; setting: of the loop."""


@njit(_LOOP, nogil=True, cache=True)
def add(lines: Words, me: int, n: int, setting: int) -> int:
    """n fetch-adds on one line, nothing between them."""
    seen = 0
    for _ in range(n):
        seen = fetch_add(lines[0], 1)
    return seen


@njit(_LOOP, nogil=True, cache=True)
def cas_add(lines: Words, me: int, n: int, setting: int) -> int:
    """n additions by loops of compare-and-swap."""
    for _ in range(n):
        old = load_acquire(lines[0])
        while compare_exchange(lines[0], old, old + 1) == 0:
            old = load_acquire(lines[0])
    return n


@njit(_LOOP, nogil=True, cache=True)
def plain_add(lines: Words, me: int, n: int, setting: int) -> int:
    """n loads and stores that are no atomic operation: this_cpu_add() on an own line, lost updates on a shared one."""
    for _ in range(n):
        store(lines[0], load_acquire(lines[0]) + 1)
    return n


@njit(_LOOP, nogil=True, cache=True)
def think(lines: Words, me: int, n: int, setting: int) -> int:
    """fetch-add, then `setting` multiplications which need its result and which the next address needs."""
    nothing = len(lines) - 1  # 0, which the compiler cannot know
    x = 1
    for _ in range(n):
        x = fetch_add(lines[0] + (x & nothing), 1)
        for _ in range(setting):
            x = (x * 3) ^ 1  # no closed form, so it is not folded
    return x


@njit(_LOOP, nogil=True, cache=True)
def walk(lines: Words, me: int, n: int, setting: int) -> int:
    """n walks of page_counter_try_charge(): at each level fetch-add, then compare with the limit."""
    over = 0
    for _ in range(n):
        for level in range(len(lines)):
            if fetch_add(lines[level], 1) >= setting:
                over += 1
    return over


@njit(_LOOP, nogil=True, cache=True)
def stock(lines: Words, me: int, n: int, setting: int) -> int:
    """n charges of one page through a stock of `setting` pages in lines[0]; a miss walks the other lines."""
    over = 0
    for _ in range(n):
        left = load_acquire(lines[0])
        if left == 0:
            for level in range(1, len(lines)):
                if fetch_add(lines[level], setting) < 0:
                    over += 1
            left = setting
        store(lines[0], left - 1)
    return over


@njit(_LOOP, nogil=True, cache=True)
def get_put(lines: Words, me: int, n: int, setting: int) -> int:
    """n gets and puts of an atomic reference."""
    zero = 0
    for _ in range(n):
        fetch_add(lines[0], 1)
        if fetch_add(lines[0], -1) <= 1:
            zero += 1
    return zero


@njit(_LOOP, nogil=True, cache=True)
def percpu_get_put(lines: Words, me: int, n: int, setting: int) -> int:
    """n gets and puts of a percpu_ref: read the mode word in lines[1], add to the own line."""
    for _ in range(n):
        if load_acquire(lines[1]) == 0:
            store(lines[0], load_acquire(lines[0]) + 1)
        if load_acquire(lines[1]) == 0:
            store(lines[0], load_acquire(lines[0]) - 1)
    return n


@njit(_LOOP, nogil=True, cache=True)
def list_push(lines: Words, me: int, n: int, setting: int) -> int:
    """n times spin_lock(lines[0]), list_add() to the head in lines[1], spin_unlock()."""
    for node in range(n):
        while compare_exchange(lines[0], 0, 1) == 0:
            while load_acquire(lines[0]) != 0:
                pause()
        store(lines[1], load_acquire(lines[1]) + 1)
        store(lines[0], 0)
    return n


@njit(_LOOP, nogil=True, cache=True)
def cas_ping_pong(lines: Words, me: int, n: int, setting: int) -> int:
    """n round trips of a compare-and-swap between two threads: one-way time is half of a round."""
    start = (load_acquire(lines[0]) & ~1) + me  # even when a burst begins; at most thread 0 has moved it since
    for turn in range(n):
        while compare_exchange(lines[0], start + 2 * turn, start + 2 * turn + 1) == 0:
            pass
    return n


@njit(_LOOP, nogil=True, cache=True)
def chase(lines: Words, me: int, n: int, setting: int) -> int:
    """n turns of two threads, by the flag in lines[0]: fetch-add on each of the other lines, one after the other.

    The other thread has modified each of them since, and each address needs the result before: nothing overlaps.
    `setting` is 0, which the compiler cannot know.
    """
    start = (load_acquire(lines[0]) & ~1) + me
    x = 1
    for turn in range(n):
        while load_acquire(lines[0]) != start + 2 * turn:
            pause()
        for i in range(1, len(lines)):
            x = fetch_add(lines[i] + (x & setting), 1)
        store(lines[0], start + 2 * turn + 1)
    return x


@njit(_LOOP, nogil=True, cache=True)
def gather(lines: Words, me: int, n: int, setting: int) -> int:
    """As chase(), but every address is known from the start, as those of a page counter's ancestors are."""
    start = (load_acquire(lines[0]) & ~1) + me
    x = 1
    for turn in range(n):
        while load_acquire(lines[0]) != start + 2 * turn:
            pause()
        for i in range(1, len(lines)):
            x += fetch_add(lines[i], 1)
        store(lines[0], start + 2 * turn + 1)
    return x


@njit(int64(), nogil=True, cache=True)
def now() -> int:
    """The cycle counter, for a thread to set against its clock."""
    return int(cycles())


@njit(
    void(types.FunctionType(_LOOP), int64[::1], int64[::1], int64, int64, int64, int64, int64[:, ::1]),
    nogil=True,
)
def bursts(loop: Loop, lines: Words, gate: Words, threads: int, me: int, n: int, setting: int, windows: Words) -> None:
    """Run the loop len(windows) times, all threads of the gate at once; windows[i] gets its first and last cycle.

    gate: address of a word that counts the threads that have come so far.
    """
    for i in range(len(windows)):
        fetch_add(gate[0], 1)
        while load_acquire(gate[0]) < threads * (i + 1):
            pause()
        windows[i, 0] = cycles()
        loop(lines, me, n, setting)
        windows[i, 1] = cycles()
