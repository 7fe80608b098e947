"""Where tasks run: in this process, or on Ray. Same tasks, same rows."""

from __future__ import annotations

import platform
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from sweep.engine import usable
from sweep.engine.loop import Done, Executor, Failed, Given, Item, Job, Task, rehearsals, run_task
from sweep.engine.warm import compile_once, keep_compiled


class Inline:
    """Runs a task when its end is waited for: nothing happens behind a debugger's back."""

    cores = 1

    def __init__(self, job: Job, root: str, code: str) -> None:
        self._root, self._code = root, code
        self.serve(job)
        self._tasks: deque[Task] = deque()
        self.nodes = [{"host": platform.node(), "cores": usable.cores()}]

    def serve(self, job: Job) -> None:
        """Take tasks of this job from now on."""
        self._job = job

    def submit(self, task: Task) -> None:
        """Queue a task."""
        self._tasks.append(task)

    def wait(self, timeout_s: float) -> list[Done | Failed]:  # noqa: ARG002 (a task runs as long as it runs)
        """Run the task queued first."""
        task = self._tasks.popleft()
        compile_once(keep_compiled(), rehearsals(self._job, task.start))
        return [run_task(self._job, self._root, self._code, task)]

    def each(self, do: Callable[[Item], Given], items: Sequence[Item], retries: int) -> Iterator[Given]:  # noqa: ARG002
        """Do it here, one after the other."""
        return map(do, items)

    def close(self) -> None:
        """Forget what is queued."""
        self._tasks.clear()


def start_executor(cluster: dict[str, Any], job: Job, root: str, code: str) -> Executor:
    """Return the executor that `cluster.kind` names."""
    if cluster["kind"] == "inline":
        return Inline(job, root, code)
    from sweep.engine.on_ray import OnRay

    return OnRay(cluster, job, root, code)
