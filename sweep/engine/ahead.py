"""Compiling while Ray starts: in a process of its own, as the driver has threads that a fork would not take along."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import threading

from sweep.engine.loop import Job, has_cores_to_itself, rehearsals
from sweep.engine.warm import compile_once, is_compiled, keep_compiled


class Ahead:
    """Compiles what a job needs if this node has none of it; workers that come meanwhile take what is left."""

    def __init__(self, job: Job) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        if is_compiled() or has_cores_to_itself(job):
            return
        self._process = subprocess.Popen(
            [sys.executable, "-m", __name__],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        assert self._process.stdin is not None
        self._process.stdin.write(pickle.dumps(job))
        self._process.stdin.flush()

    def close(self) -> None:
        """End it, if it has not ended; what it compiled stays."""
        if self._process is not None:
            self._process.kill()
            self._process.communicate()


def _end_with_driver() -> None:
    sys.stdin.buffer.read()
    os._exit(0)


if __name__ == "__main__":
    asked = pickle.load(sys.stdin.buffer)
    threading.Thread(target=_end_with_driver, daemon=True).start()
    compile_once(keep_compiled(), rehearsals(asked, 0))
