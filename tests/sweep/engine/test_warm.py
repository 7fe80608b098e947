"""Who compiles on a node, and who waits."""

import time
from concurrent.futures import ThreadPoolExecutor

from sweep.engine.warm import compile_once


def test_one_of_many_compiles(tmp_path):
    """Of workers that come to a cold node at once, one compiles, and the others go on after it has."""
    ended = []

    def compiles():
        time.sleep(0.2)
        ended.append(time.monotonic())

    def worker(_):
        compile_once(tmp_path / "cache", "code", compiles)
        return time.monotonic()

    with ThreadPoolExecutor(8) as pool:
        went_on = list(pool.map(worker, range(8)))

    assert len(ended) == 1
    assert min(went_on) >= ended[0]
    compile_once(tmp_path / "cache", "other code", compiles)
    assert len(ended) == 2


def test_what_fails_is_tried_again(tmp_path):
    """A point that cannot be computed, or a folder that cannot be written to, is no reason to stop."""
    compile_once(tmp_path, "code", lambda: 1 / 0)
    tries = []
    compile_once(tmp_path, "code", lambda: tries.append(1))
    (tmp_path / "file").write_text("")
    compile_once(tmp_path / "file" / "cache", "code", lambda: tries.append(2))

    assert tries == [1]
