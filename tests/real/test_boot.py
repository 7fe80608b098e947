"""Kernels that boot: needs QEMU, a C compiler and a Debian archive, and says which is missing."""

import csv
import io
import subprocess
import sys
from dataclasses import replace

import pyarrow.dataset as ds
import pytest

from sweep.real import guest, qemu
from sweep.real.guest import GuestError
from tests.real.test_truth import usual
from tests.support.commands import folder, sweep

SMALL = ("vm=icount", "vm.kernel=6.1", "axes.cpus=[1]", "replicates=1", "workload.tmpfs.cgroups=10")
COLUMNS_OF_THE_HOST = ["host_s", "host_waited_s"]


def small(measure, **program):
    program = replace(usual(), cgroups=10, counted_files=200, counted_pipes=200, **program)
    return guest.parameters(program, measure, depth=1, cgroup_version=2)


def machine(**other):
    return qemu.VirtualMachine(
        **{"cpus": 1, "memory_mib": 512, "accel": "tcg", "icount": True, "time_limit_s": 240} | other
    )


def test_a_kernel_counts_the_page_charges_of_files(kernel_to_boot):
    """6.1 charges 200 files in some 61 pages (200 + 792 + 264 bytes each), its pipes, and nothing while idle."""
    found = qemu.boot(kernel_to_boot, machine(), small("counts"))

    calls = {key: times["after"][0] - times["before"][0] for key, times in found.calls.items()}
    assert calls["create", "try_charge_memcg"] == pytest.approx(200 * (200 + 792 + 264) / 4096, abs=3)
    assert calls["idle", "try_charge_memcg"] <= 1
    assert calls["pipe", "try_charge_memcg"] > 50
    assert found.us_per("create") > 0


def test_a_guest_that_does_not_end_is_killed_and_its_console_kept(kernel_to_boot):
    """Past its time limit a machine is one line, which names the console."""
    with pytest.raises(GuestError, match=r"did not end in 0\.5 s \(vm\.time_limit_s\); its console: \S+$") as error:
        qemu.boot(kernel_to_boot, machine(time_limit_s=0.5), small("churn"))
    assert "\n" not in str(error.value)


@pytest.mark.slow
@pytest.mark.usefixtures("kernel_to_boot")
def test_two_deterministic_runs_land_the_same_rows_and_are_a_reference(tmp_path):
    """Two runs under icount agree but for the host's time; one of them is what the model is then held against."""
    runs = [folder(sweep("+experiment=truth", *SMALL, f"out={tmp_path / name}")) for name in "ab"]

    for table in ("points", "slabs", "calls"):
        one, other = (ds.dataset(run / table).to_table() for run in runs)
        kept = [name for name in one.column_names if name not in COLUMNS_OF_THE_HOST]
        assert one.num_rows
        assert one.select(kept).equals(other.select(kept))
    held = folder(sweep("+experiment=validate", f"reference={runs[0]}", f"out={tmp_path}", "cluster=inline"))
    judged = subprocess.run(
        [sys.executable, "-m", "analysis", "validate", str(held), "--format", "csv"], capture_output=True, text=True
    )
    rows = {(row["figure"], row["workload"]): row for row in csv.DictReader(io.StringIO(judged.stdout))}
    assert rows["dying memcgs", "keep1-cgroups10"]["verdict"] == "ok"
    assert rows["charges", "create, depth 1"]["verdict"] == "ok"
