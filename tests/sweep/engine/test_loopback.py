"""`cluster=local` listens on loopback only, and behind a token, whatever the environment says: asked of `ss`."""

import os
import re
import shutil
import subprocess
import time

import pytest

from tests.support.commands import LIMIT_S, TINY, children, started

pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(shutil.which("ss") is None, reason="needs ss, of iproute2"),
]

HOSTILE = {
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "1",
    "RAY_AUTH_MODE": "disabled",
    "RAY_AUTH_TOKEN": "known-to-all",
    "RAY_ADDRESS": "192.0.2.1:6379",
    "RAY_NODE_IP_ADDRESS": "0.0.0.0",
    "RAY_DASHBOARD_HOST": "0.0.0.0",
    "RAY_TMPDIR": "/tmp",
}


def listening(pids):
    """The addresses that processes listen on, as `ss -tlnp` says."""
    said = subprocess.run(["ss", "-tlnpH"], capture_output=True, text=True, check=True).stdout
    found = {}
    for line in said.splitlines():
        for pid in map(int, re.findall(r"pid=(\d+)", line)):
            if pid in pids:
                found.setdefault(line.split()[3].rpartition(":")[0], []).append(pid)
    return found


@pytest.mark.parametrize(
    "line", [(*TINY, "cluster.task_s=0.01"), ("+experiment=calibrate",)], ids=["sweep", "calibrate"]
)
def test_only_loopback_is_listened_on(line, tmp_path):
    """A sweep and a calibration, in an environment that asks for all interfaces and no token."""
    environment = os.environ | HOSTILE | {"XDG_DATA_HOME": str(tmp_path / "data")}
    options = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "env": environment}
    with started(*line, f"out={tmp_path / 'out'}", "cluster=local", "cluster.cores=1", **options) as driver:
        until = time.monotonic() + LIMIT_S
        while not any("ray::" in name for name in children(driver.pid).values()):  # a worker, which all others precede
            assert driver.poll() is None
            assert time.monotonic() < until
            time.sleep(0.05)
        found = listening({driver.pid, *children(driver.pid)})

    assert found
    assert found.keys() <= {"127.0.0.1", "[::1]", "[::ffff:127.0.0.1]"}, found
