"""A Ray of this driver's own: its token, folders and interfaces are ours, whatever the environment says."""

from __future__ import annotations

import atexit
import os
import secrets
import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from sweep.engine import signals, usable
from sweep.errors import ClusterError, first_line
from sweep.places import RunFolder

OBJECT_STORE_BYTES = 80 << 20  # Ray's least is 75 MiB; only the job goes through it, rows go to the run's folder
SOCKET_PATH = 107  # characters that the path of a Unix socket may have
BELOW = len("/r/session_2026-01-01_00-00-00_000000_4194304/sockets/plasma_store")  # of Ray's, in the folder
QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_DEDUP_LOGS": "0",
    "RAY_DISABLE_FAILURE_SIGNAL_HANDLER": "1",  # else its compiled part takes SIGTERM, prints a page and aborts
}
OURS = {
    "RAY_AUTH_MODE": "token",
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",  # Ray's switch for "this machine only", whatever its name says
    # for glibc: what is larger goes back to the kernel once it is free; else arrays of up to 32 MiB stay with a worker
    "MALLOC_MMAP_THRESHOLD_": str(4 << 20),
} | QUIET
# of Ray's node: processes that nobody asks anything here, 280 MB and 2 CPU-s. `include_dashboard=False` starts the
# dashboard without its pages, and the other two have no switch. The agent stays: a raylet does not start without.
NEEDLESS = ("start_api_server", "start_monitor", "start_log_monitor")


class LocalRay:
    """Prepares the environment before Ray is imported, starts Ray, and leaves nothing behind."""

    def __init__(self) -> None:
        self._others = set(_below(os.getpid()))  # processes that whoever calls us has started
        self.folder = RunFolder(SOCKET_PATH - BELOW)
        atexit.register(self.folder.close)  # before Ray registers what ends its processes, hence after that has run
        for name in [name for name in os.environ if name.startswith("RAY_")]:
            del os.environ[name]
        token = self.folder.path / "token"
        with open(os.open(token, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(secrets.token_hex(32))
        os.environ.update(OURS | {"RAY_AUTH_TOKEN_PATH": str(token)})

    def start(self, ray: Any, cores: int | None, common: dict[str, Any]) -> None:
        """Start Ray on so many cores, null: all that one may use."""
        try:
            with _without(ray._private.node.Node, NEEDLESS):
                ray.init(
                    address="local",
                    _temp_dir=str(self.folder.path / "r"),  # Ray opens it to everybody; the folder above is not
                    _node_ip_address="127.0.0.1",
                    num_cpus=cores or usable.workers(),
                    include_dashboard=False,
                    object_store_memory=OBJECT_STORE_BYTES,
                    **common,
                )
        except Exception as error:  # Ray has no class of its own for it
            raise ClusterError(
                f"Ray did not start on this machine ({first_line(error)}); try again, or use cluster=inline"
            ) from error

    @contextmanager
    def nobody_left(self) -> Iterator[None]:
        """Kill what is left, after Ray was ended, of the processes that came since.

        An agent that was still starting when its raylet died looks for the raylet's GCS for a minute and more.
        """
        handles = []
        for pid in set(_below(os.getpid())) - self._others:
            with suppress(OSError):  # it has ended, or the kernel is older than 5.3
                handles.append(os.pidfd_open(pid))
        try:
            yield
        finally:
            for handle in handles:
                with suppress(OSError):
                    signal.pidfd_send_signal(handle, signal.SIGKILL)
                os.close(handle)

    def close(self) -> None:
        """Remove the folder."""
        self.folder.close()
        atexit.unregister(self.folder.close)


@contextmanager
def _without(kind: type, methods: Sequence[str]) -> Iterator[None]:
    """Have methods of a class do nothing for a while."""
    kept = {name: getattr(kind, name) for name in methods}
    for name in methods:
        setattr(kind, name, lambda *_given, **_named: None)
    try:
        yield
    finally:
        for name, method in kept.items():
            setattr(kind, name, method)


def _below(pid: int) -> list[int]:
    """Return the processes that a process started, those that they started, and so on."""
    started: dict[int, list[int]] = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            parent = int(path.read_text().rpartition(")")[2].split()[1])
            started.setdefault(parent, []).append(int(path.parent.name))
    found = started.get(pid, [])[:]
    for each in found:
        found += started.get(each, [])
    return found


@contextmanager
def own_signals(ray: Any) -> Iterator[None]:
    """Keep Ray, both its Python and its compiled part, from taking signals for itself while it starts.

    The compiled part does when the driver connects, after Ray's processes were started, which inherit no mask then.
    """
    utils, worker = ray._private.utils, ray._private.worker  # they have no public names
    take, connect = utils.set_sigterm_handler, worker.connect

    def shielded(*given: Any, **named: Any) -> Any:
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, signals.STATUS)
        try:
            return connect(*given, **named)
        finally:
            signals.take()
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)

    utils.set_sigterm_handler, worker.connect = (lambda _handler: None), shielded
    try:
        yield
    finally:
        utils.set_sigterm_handler, worker.connect = take, connect
