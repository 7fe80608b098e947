"""A host job on a CSV as observe.py writes it on cgroup v1: what is told of it, and what is not."""

import csv
import sys

import numpy as np
import pytest

import sweep.run
from core.observed import fit
from sweep.__main__ import main
from sweep.engine import signals
from sweep.jobs import host
from sweep.real.observe import COLUMNS

UP_S = 26_000.0  # seven hours
FILL = {
    "kernel": "6.18.44-fc-v782", "cpus_possible": 2, "cpus_online": 2, "nodes": 1, "mounts": 20, "superblocks": 20,
    "cgroup_version": 1, "memory_bytes": 25_276_063_744, "available_bytes": 24_412_639_232, "page_bytes": 4096,
    "cached_bytes": 2_913_988_608, "read_bytes": 16_227_685_376, "reclaimed_bytes": 0, "mkdir_by": "inode",
}  # fmt: skip


def observed(path, dying, mkdir_hz):
    """Write a row each ten seconds; slab is that of a host where other things happen."""
    rng = np.random.default_rng(1)
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        for row, (number, hz) in enumerate(zip(dying, mkdir_hz, strict=True)):
            slab = int(7e8 + 3e6 * rng.normal())
            writer.writerow(
                FILL
                | {
                    "time": 1_795_730_263.4 + 10 * row, "uptime_s": UP_S + 10 * row, "num_cgroups": 5 + number,
                    "directories": 5, "percpu_bytes": 900_000 + 4096 * number, "slab_bytes": slab,
                    "sreclaimable_bytes": int(0.9 * slab), "sunreclaim_bytes": int(0.1 * slab),
                    "mkdir_hz": "" if row == 0 else hz,
                }
            )  # fmt: skip
    return path


@pytest.fixture
def told(monkeypatch, tmp_path, capfd):
    """Return the fit of a CSV by quantity, and what was said meanwhile; few steps and few draws."""
    monkeypatch.setattr(fit, "STEPS", 120)
    monkeypatch.setattr(host, "HOSTS_DRAWN", 40)
    monkeypatch.setattr(signals, "install", lambda: None)

    def fitted(dying, mkdir_hz):
        path = observed(tmp_path / "host.csv", dying, mkdir_hz)
        jobs = []
        monkeypatch.setattr(sweep.run, "run", lambda job, *_: jobs.append(job) or 0)
        monkeypatch.setattr(sys, "argv", ["memcg-sweep", "+experiment=host", f"observed={path}"])
        with pytest.raises(SystemExit) as end:
            main()
        assert end.value.code == 0
        return {row["quantity"]: row for row in jobs[0].fits}, capfd.readouterr().err, [*jobs[0].told(None)]

    return fitted


def test_an_idle_host_is_told_by_what_is_dying_and_how_long_it_is_up(told):
    """Nothing came while it was looked at: that is said, and no churn is made up of it."""
    rows, said, lines = told([98] * 21, [0.0] * 21)

    assert rows["churn"]["note"].startswith("none was made in the 200 s looked at")
    assert rows["uptime at the first row"]["estimate"] == pytest.approx(UP_S / 86400)
    assert "no steady churn" not in said
    assert "CPUs, online 2" in lines
    assert not any("  " in line for line in lines)


def test_churn_that_began_lately_is_not_taken_to_be_as_old_as_the_host(told):
    """Dying memcgs that rise by a third of 0.9 a second from 104 cannot be steady since boot: the age is fitted."""
    rng = np.random.default_rng(2)
    dying = 104 + np.concatenate([[0], rng.poisson(3.0, 24).cumsum()])
    rows, said, _ = told(dying.tolist(), [0.9] * 25)

    assert "no steady churn since boot makes these rows" in said
    assert rows["such churn before the first row"]["low"] < 0.01
    assert rows["churn"]["estimate"] == pytest.approx(0.9, rel=0.2)
    assert rows["share that stays dying"]["low"] < 0.33 < rows["share that stays dying"]["high"]


def test_slab_that_other_things_move_says_nothing_of_memcgs(told):
    """A slope with an interval that holds 0 is no weight, and the row says so."""
    rows, _, _ = told([98 + row**2 // 20 for row in range(21)], [0.5] * 21)

    assert not rows["slab per dying memcg"]["told"]
    assert rows["slab per dying memcg"]["note"].startswith("not told: other things of the host move it more")
    assert rows["percpu per dying memcg"]["estimate"] == pytest.approx(4, rel=0.01)
