"""Tasks on Ray: an embedded one on this machine, or a cluster that is there already."""

from __future__ import annotations

import functools
import logging
import os
import pickle
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from itertools import islice
from pathlib import Path
from typing import Any

from sweep.engine import signals
from sweep.engine.ahead import Ahead
from sweep.engine.local_ray import QUIET, LocalRay, own_signals
from sweep.engine.loop import (
    POLL_S,
    Done,
    Failed,
    Given,
    HeavyJob,
    Item,
    Job,
    Resources,
    Task,
    rehearsals,
    run_task,
)
from sweep.engine.warm import compile_once, keep_compiled
from sweep.errors import ClusterError, InputError, first_line
from sweep.version import refusal

REACHED_S = 20  # a cluster that does not answer for so long is none
LOOK_S = 1.0  # how often nodes are counted: those that join are used, and those that left are not waited for


class OnRay:
    """Runs tasks on Ray's workers, one core each; a lost worker is an outcome like any other."""

    def __init__(self, cluster: dict[str, Any], job: Job, root: str, code: str) -> None:
        keep_compiled()
        self._local, self._ahead = None, None
        if cluster["kind"] == "local":
            self._local, self._ahead = LocalRay(), Ahead(job)
        else:
            os.environ.update({key: value for key, value in QUIET.items() if key not in os.environ})
            _reach(cluster["address"])
        self._running: dict[Any, Any] = {}  # handle -> Task, or what `each` does something to
        self._ray: Any = None  # until it is imported, which takes a second in which a signal may come
        try:
            self._connect(cluster)
            self._begin(cluster, job, root, code)
        except BaseException:
            with signals.postponed():
                self.close()
            raise

    def _begin(self, cluster: dict[str, Any], job: Job, root: str, code: str) -> None:
        ray = self._ray
        self._most = cluster["cores"] or 1 << 30
        self.cores, self.nodes = 0, list[dict[str, Any]]()
        self._per_node = False
        self._takes: Callable[[int], Resources] | None = None
        self._root, self._code = root, code
        self._socket = ray._private.worker._global_node.raylet_socket_name  # it has no public name
        self._watched = self._raylet_listens()  # not where the driver's /proc is that of another container
        with self._node():
            self._look()
        self.serve(job)
        self._remote = ray.remote(_work)

    def serve(self, job: Job) -> None:
        """Take tasks of this job from now on."""
        self._per_node = job.per_node
        self._takes = job.resources if isinstance(job, HeavyJob) else None
        with self._node():
            if job.per_node:
                self.nodes = self._one_of_each_type()
            self._fixed = (self._ray.put(self._ray.cloudpickle.dumps(job)), self._root, self._code)

    @contextmanager
    def _node(self) -> Iterator[None]:
        """Do what fails only with the node that the driver runs on."""
        try:
            yield
        except self._ray.exceptions.RayError as error:
            raise ClusterError(f"Ray is gone ({first_line(error)}); the same command resumes") from error

    def _look(self) -> None:
        """Take note of nodes that joined and of cores that there are now; one, if all are still to come."""
        if self._watched and not self._raylet_listens():
            # Ray notices after a quarter of a minute, and ends the driver from within
            raise ClusterError("Ray is gone (the raylet of this machine died); the same command resumes")
        alive = [
            {"host": node["NodeManagerHostname"], "id": node["NodeID"], "cores": int(node["Resources"].get("CPU", 0))}
            for node in self._ray.nodes()
            if node["Alive"]
        ]
        self._looked = time.monotonic()
        if self._per_node:
            return
        known = {node["id"] for node in self.nodes}
        self.nodes += [node for node in alive if node["id"] not in known]
        self.cores = max(1, min(sum(node["cores"] for node in alive), self._most))

    def _raylet_listens(self) -> bool:
        return self._socket in Path("/proc/net/unix").read_text()

    def submit(self, task: Task) -> None:
        """Hand a task to Ray."""
        options: dict[str, Any] = self._taken(task)
        if self._per_node:
            node = self.nodes[task.start]
            options = {"num_cpus": node["cores"], "scheduling_strategy": self._on(node)}
        remote = self._remote.options(max_retries=0, **options)
        self._running[remote.remote(*self._fixed, task)] = task

    def _taken(self, task: Task) -> dict[str, Any]:
        """Return what Ray is asked for; of cores no more than the largest node has, as a task may wait for its turn."""
        if self._takes is None:
            return {"num_cpus": 1}
        wanted = self._takes(task.start)
        largest = max(node["cores"] for node in self.nodes)
        most = max(node["Resources"].get("memory", 0) for node in self._ray.nodes() if node["Alive"])
        if wanted.memory_bytes > most:
            raise ClusterError(
                f"a task takes {wanted.memory_bytes >> 20} MiB of memory, and no node gives Ray more than "
                f"{most / 2**20:.0f}; make it smaller, or join a larger node"
            )
        return {"num_cpus": min(wanted.cores, largest), "memory": wanted.memory_bytes}

    def wait(self, timeout_s: float) -> list[Done | Failed]:
        """Return what ended."""
        return [self._outcome(ref, self._running.pop(ref)) for ref in self._ended(timeout_s)]

    def each(self, do: Callable[[Item], Given], items: Sequence[Item], retries: int) -> Iterator[Given]:
        """Yield what `do` returns of each item, in the order in which they end, one to a core."""
        remote = self._ray.remote(_do).options(num_cpus=1, max_retries=retries)
        waiting = iter(items)
        while True:
            with self._node():
                for item in islice(waiting, max(0, self.cores - len(self._running))):
                    self._running[remote.remote(self._code, do, item)] = item
            if not self._running:
                return
            for ref in self._ended(POLL_S):
                del self._running[ref]
                yield self._given(ref)
            signals.check()

    def _given(self, ref: Any) -> Any:
        try:
            return self._ray.get(ref)
        except self._ray.exceptions.RayTaskError as error:
            raise ClusterError(f"{_cannot(error)}; the same command resumes") from error
        except self._ray.exceptions.RayError as error:
            reason = f"{type(error).__name__}: {first_line(error)}"
            raise ClusterError(f"workers that make a table's file die ({reason}); the same command resumes") from error

    def _ended(self, timeout_s: float) -> list[Any]:
        """Return handles of what ended; wait for it no longer than `timeout_s`."""
        try:
            with self._node():
                ended, _ = self._ray.wait(list(self._running), num_returns=1, timeout=timeout_s)
                if time.monotonic() > self._looked + LOOK_S:
                    self._look()
                if ended:
                    ended, _ = self._ray.wait(list(self._running), num_returns=len(self._running), timeout=0)
        except SystemError as error:
            if isinstance(error.__cause__, signals.Stopped):  # a signal as Ray's compiled code was about to return
                raise error.__cause__ from None
            raise
        return list(ended)

    def close(self) -> None:
        """Drop what is under way; end an embedded Ray, leave a cluster as it was."""
        for ref in self._running:
            self._ray.cancel(ref, force=True)
        with nullcontext() if self._local is None else self._local.nobody_left():
            if self._ray is not None:
                self._ray.shutdown()
        if self._ahead is not None:
            self._ahead.close()
        if self._local is not None:
            self._local.close()

    def _on(self, node: dict[str, Any]) -> Any:
        return self._ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy(node["id"], soft=False)

    def _one_of_each_type(self) -> list[dict[str, Any]]:
        """Return the nodes without those that are like another one: same model, same number of CPUs."""
        remote = self._ray.remote(_node_type)
        nodes = [node for node in self.nodes if node["cores"]]  # a head may have none, and is not measured
        named = [remote.options(num_cpus=0, scheduling_strategy=self._on(node)).remote() for node in nodes]
        return list(dict(zip(reversed(self._ray.get(named)), reversed(nodes), strict=True)).values())[::-1]

    def _connect(self, cluster: dict[str, Any]) -> None:
        import ray

        logging.getLogger("ray").setLevel(logging.ERROR)
        self._ray = ray
        common = {"log_to_driver": False, "logging_level": logging.ERROR, "configure_logging": False}
        with own_signals(ray):
            if self._local is not None:
                self._local.start(ray, cluster["cores"], common)
                return
            try:
                with _silent():
                    ray.init(address=cluster["address"], **common)
            except (ConnectionError, ValueError, RuntimeError) as error:
                raise _unreached(cluster["address"], first_line(error)) from error

    def _outcome(self, ref: Any, task: Task) -> Done | Failed:
        try:
            end: Done | Failed = self._ray.get(ref)
        except self._ray.exceptions.RayTaskError as error:
            # what a point raises comes back as a Failed: this is a worker that cannot take tasks at all
            return Failed(task, _cannot(error), "fatal")
        except self._ray.exceptions.RayError as error:
            return Failed(task, f"{type(error).__name__}: {first_line(error)}", "lost")
        return end


def _cannot(error: Exception) -> str:
    return f"a worker cannot run tasks: {str(error).strip().splitlines()[-1]}"


def _unreached(address: str, reason: str) -> InputError:
    return InputError(
        f"cluster.address must lead to a running Ray cluster (got {address!r}: {reason}); "
        "start one with `ray start --head`, or use cluster=local"
    )


@contextmanager
def _silent() -> Iterator[None]:
    """Drop what Ray's compiled code writes while it tries to connect: the answer is one line of ours."""
    kept = os.dup(2)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


def _reach(address: str) -> None:
    """Raise InputError unless somebody listens at an address: Ray itself would try for minutes, and say nothing."""
    host, _, port = address.rpartition(":")
    if not host or not port.isdigit():
        return  # `auto`, which Ray looks up on this machine
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=REACHED_S).close()
    except OSError as error:
        raise _unreached(address, first_line(error)) from error


def _node_type() -> str:
    from sweep.config import hosts

    return hosts.name()


def _do(code: str, do: Callable[[Item], Given], item: Item) -> Given | ClusterError:
    reason = refusal(code)
    return do(item) if reason is None else ClusterError(reason)


def _work(job: bytes, root: str, code: str, task: Task) -> Done | Failed:
    folder = keep_compiled()
    if (reason := refusal(code)) is not None:  # before the job is unpickled, which imports core
        return Failed(task, reason, "fatal")
    found = _unpickled(job)
    compile_once(folder, rehearsals(found, task.start))
    return run_task(found, root, code, task)


@functools.lru_cache(maxsize=1)
def _unpickled(job: bytes) -> Job:
    """Return the job, once per worker: what it has compiled and expanded stays with it."""
    found: Job = pickle.loads(job)
    return found
