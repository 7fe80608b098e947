"""A Ray cluster on loopback, of nodes that are started as an administrator starts them, and can be killed."""

from __future__ import annotations

import contextlib
import os
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.support.commands import children

RAY = str(Path(sys.executable).with_name("ray"))
JOINED = """
import sys, ray
ray.init(sys.argv[1], log_to_driver=False, logging_level="ERROR")
sys.exit(sum(node["Alive"] for node in ray.nodes()) != int(sys.argv[2]))
"""
START_S = 120  # a node that has not joined after this will not


def free_port():
    """Return a port of loopback that nobody listens on."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


class Nodes:
    """Nodes of one core each, behind one token; every node is a tree of processes."""

    def __init__(self, count):
        self._folder = tempfile.TemporaryDirectory(prefix="ray-", ignore_cleanup_errors=True)
        self.environment = os.environ | {
            "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),  # as when it is activated
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN": secrets.token_hex(16),
            "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "1",
            "RAY_USAGE_STATS_ENABLED": "0",
        }
        self.address = f"127.0.0.1:{free_port()}"
        self.dashboard = f"http://127.0.0.1:{free_port()}"
        self._nodes = [self._start(
            "--head", "--node-ip-address=127.0.0.1", f"--port={self.address.split(':')[1]}", "--include-dashboard=true",
            "--dashboard-host=127.0.0.1", f"--dashboard-port={self.dashboard.split(':')[2]}",
            f"--temp-dir={self._folder.name}",
        )]  # fmt: skip
        self._until(RAY, "health-check", "--address", self.address)
        for _ in range(count - 1):
            self.add()

    def add(self):
        """Start one more node, and wait until all are there."""
        self._join()
        self._until(sys.executable, "-c", JOINED, self.address, str(len(self._nodes)))

    def replace(self):
        """Kill the oldest node but the head, and start another; do not wait until it is there."""
        self.kill(1)
        self._join()

    def kill(self, at=-1):
        """Kill a node, its raylet and its workers, with no warning; the one that joined last, if not told which."""
        node = self._nodes.pop(at)
        for pid in [*children(node.pid), node.pid]:
            with contextlib.suppress(ProcessLookupError):  # it went with its parent
                os.kill(pid, signal.SIGKILL)
        node.wait()

    def run(self, *line, **options):
        """Run a command that has the token."""
        return subprocess.run(line, capture_output=True, text=True, timeout=300, env=self.environment, **options)

    def close(self):
        """Kill what is left."""
        while self._nodes:
            self.kill()
        self._folder.cleanup()

    def _join(self):
        self._nodes.append(self._start(f"--address={self.address}", "--node-ip-address=127.0.0.1"))

    def _start(self, *options):
        line = [RAY, "start", "--num-cpus=1", "--object-store-memory=80000000", "--block", *options]
        return subprocess.Popen(line, env=self.environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def _until(self, *line):
        until = time.monotonic() + START_S
        while self.run(*line).returncode != 0:
            assert time.monotonic() < until, "the cluster did not start"
            time.sleep(0.5)
