"""A million points: what the driver holds, and what orchestration costs."""

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

LIGHT = (
    "axes.design=[unaccounted,page_ref,reparent_percpu,objcg]",
    "axes.cpus={lin:[1,20,20]}",
    "axes.batch={pow2:[1,32768]}",
    "replicates=782",
    "churn_hz=0.01",
    "duration_s=86400",
    "cluster.cores=2",
)
POINTS = 4 * 20 * 16 * 782


def resident_mib(pid):
    """Return the resident memory of a process."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith("VmRSS")), 0.0)


@pytest.mark.slow
@pytest.mark.bench
def test_a_million_points(tmp_path, capsys):
    """A million points land with orchestration under a tenth of the wall time, and the driver under 500 MiB."""
    line = [sys.executable, "-m", "sweep", *LIGHT, f"out={tmp_path}"]
    peak_mib = 0.0
    with subprocess.Popen(line, stdout=subprocess.PIPE, text=True) as driver:
        while driver.poll() is None:
            peak_mib = max(peak_mib, resident_mib(driver.pid))
            time.sleep(0.2)
        folder = driver.stdout.read().splitlines()[-1]
    manifest = json.loads(Path(folder, "manifest.json").read_text())
    began = time.monotonic()
    subprocess.run(line, check=True, capture_output=True)
    again_s = time.monotonic() - began
    wall_s, simulation_s = manifest["wall_s"], manifest["simulation_s"]
    orchestration = (wall_s - simulation_s / 2) / wall_s
    with capsys.disabled():
        print(f"\n{POINTS:,} points in {wall_s:,.0f} s ({POINTS / wall_s:,.0f}/s), driver {peak_mib:.0f} MiB, "
              f"orchestration {orchestration:.1%}, the same command again {again_s:.1f} s")  # fmt: skip

    assert manifest["rows"]["points"] == POINTS >= 1_000_000
    assert orchestration < 0.1
    assert peak_mib < 500
    assert again_s < 5
