"""A run on real kernels as the reference that the model is held against."""

import dataclasses
import json
import subprocess
import sys
from dataclasses import replace

import hydra
import pyarrow.parquet as pq
import pytest
from scipy.special import stdtrit

from analysis.db import connect
from analysis.held import holding
from analysis.real import sheets_of
from analysis.run import open_run
from analysis.tables import Form
from analysis.validate import judged
from sweep.config import detect, hosts, kernels, schema
from sweep.errors import InputError
from sweep.jobs import validate
from sweep.real import vm
from sweep.real.cases import Case
from sweep.real.guest import read_console
from sweep.real.kernels import Kernel
from sweep.real.rows import Row, tables_of
from tests.real.test_truth import usual
from tests.support import CONF

KERNEL = Kernel("6.1", "6.1", "6.1.0-x", "ab", "", None)
COUNTS = """
@calls create before try_charge_memcg 0 0
@calls create after try_charge_memcg {charges} 0
@calls create before page_counter_try_charge 0 0
@calls create after page_counter_try_charge 1 0
@time create 50000000 200
@done
"""


def churn(slab_kib, dying=0):
    return (
        "@memory before 0 0 1000 600 400 100\n@slab before dentry 21 21 192 21 1\n@slab after dentry 21 63 192 21 1\n"
        f"@memory after {dying} 0 {slab_kib} 600 400 100\n@flight 1 1\n@done"
    )


def write_run(folder, profile, consoles):
    """Write a run's folder as the truth job lands it, of consoles by (measure, keep, replicate)."""
    rows = []
    for (measure, keep, replicate), console in consoles.items():
        program = replace(usual(), cgroups=10, keep=keep, counted_files=200, counted_pipes=200)
        case = Case("vm", "6.1", measure, 1, 1, 2, program, replicate)
        name = "counts" if measure == "counts" else f"keep{keep}-cgroups10"
        row = Row(case, f"{measure}{keep}{replicate}", name, KERNEL, profile, deterministic=False)
        records = read_console(console)
        row.settings = {"in_flight_memcgs": records.in_flight}
        vm.fill(row, records)
        rows.append(row)
    for table, content in tables_of(rows).items():
        (folder / table).mkdir(parents=True)
        pq.write_table(content, folder / table / "00000.parquet")
    files = [{"path": f"{table}/00000.parquet"} for table in ("slabs", "calls", "points")]
    real = {"kernels": [dataclasses.asdict(KERNEL) | {"profile": dataclasses.asdict(profile)}]}
    manifest = {"state": "complete", "config": {}, "files": files, "real": real}
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return folder


def figures(folder, out):
    """Return the verdicts of the model on a run, by figure and workload."""
    for each in (schema, detect, hosts, kernels):
        each.register()
    with hydra.initialize_config_dir(str(CONF), version_base="1.3"):
        job = validate.job({"reference": str(folder)})
    (out / "figures").mkdir(parents=True)
    pq.write_table(job.work(0, job.count())["figures"], out / "figures" / "00000.parquet")
    manifest = {"state": "complete", "config": {"reference": str(folder)}, "files": [{"path": "figures/00000.parquet"}]}
    (out / "manifest.json").write_text(json.dumps(manifest))
    con = judged(open_run(str(out)), None)
    rows = con.sql("from verdicts")
    found = [dict(zip(rows.columns, row, strict=True)) for row in rows.fetchall()]
    con.sql("from bias").fetchall()
    return {(row["figure"], row["workload"]): row for row in found}


def consoles(control_dying=0):
    """Three boots of keep1 (1,040, 1,050 and 1,060 KiB) and of keep0 (1,020 each), and one of counts."""
    found = {("churn", 1, n): churn(1040 + 10 * n) for n in range(3)}
    found |= {("churn", 0, n): churn(1020, dying=control_dying) for n in range(3)}
    return found | {("counts", 0, 0): COUNTS.format(charges=61)}


def test_a_run_is_a_reference_with_the_kernels_own_standard_error(profile_of, tmp_path):
    """Hand-worked: (50 - 20) / 10 KiB per cgroup; boots 1 KiB apart, so 1 / sqrt(3); charges at the guest's pace."""
    found = figures(write_run(tmp_path / "run", profile_of("linux-6.1"), consoles()), tmp_path / "out")

    slab = found["slab", "keep1-cgroups10"]
    assert slab["reference"] == pytest.approx(3)
    assert slab["standard_error"] == pytest.approx(1 / 3**0.5)
    assert found["dying memcgs", "keep1-cgroups10"]["verdict"] == "ok"
    charges = found["charges", "create, depth 1"]
    assert charges["reference"] == pytest.approx(61 / 200)
    assert charges["verdict"] == "ok"


def test_rows_without_a_clean_control_are_refused(profile_of, tmp_path):
    """Where removed cgroups of the control were still there, nothing can be judged by it, and the verdict says so."""
    found = figures(write_run(tmp_path / "run", profile_of("linux-6.1"), consoles(control_dying=2)), tmp_path / "out")

    of_memory = {row["verdict"] for (_, workload), row in found.items() if workload == "keep1-cgroups10"}
    assert of_memory == {"refused: its control is not clean"}


def test_a_run_that_counted_no_calls_is_a_reference_of_memory(profile_of, tmp_path):
    """vm.measure=churn, or a live kernel: no rows of calls, so no table; what was measured is judged all the same."""
    churned = {key: console for key, console in consoles().items() if key[0] == "churn"}
    folder = write_run(tmp_path / "run", profile_of("linux-6.1"), churned)
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["files"] = [each for each in manifest["files"] if not each["path"].startswith("calls")]
    (folder / "manifest.json").write_text(json.dumps(manifest))

    found = figures(folder, tmp_path / "out")

    assert found["slab", "keep1-cgroups10"]["reference"] == pytest.approx(3)
    assert not any(figure == "charges" for figure, _ in found)


def test_another_kind_of_run_is_one_line(tmp_path):
    """A run of a sweep measured nothing, so it is no reference."""
    (tmp_path / "manifest.json").write_text(json.dumps({"state": "complete", "files": []}))

    with pytest.raises(InputError, match=r"reference must be .* an ended run of \+experiment=truth") as error:
        validate.job({"reference": str(tmp_path)})
    assert "\n" not in str(error.value)


def test_sql_answers_over_what_kernels_measured(profile_of, tmp_path):
    """A run on real kernels has none of a sweep's columns, so no marts; its own tables can be asked all the same."""
    run = open_run(str(write_run(tmp_path / "run", profile_of("linux-6.1"), consoles())))
    query = "select max(slab_kib_after - slab_kib_before) from points where workload like 'keep1%'"

    assert connect(run).sql(query).fetchall() == [(60.0,)]
    with pytest.raises(InputError, match="RUN must be of a sweep"):
        holding(run)


def test_tables_say_what_kernels_measured(profile_of, tmp_path):
    """Hand-worked: three boots of 40, 50 and 60 KiB / 10 cgroups, with Student's t; 61 calls in 200 files, once."""
    run = open_run(str(write_run(tmp_path / "run", profile_of("linux-6.1"), consoles())))
    left, calls = sheets_of(run)
    found = {line.section: dict(zip(left.columns, line.cells, strict=True)) for line in left.lines}

    kept = found["6.1, keep1-cgroups10, depth 1, cgroup v2"]
    assert (kept["Slab"].value, kept["n"]) == (5.0, "3")
    assert kept["Slab"].half_width == pytest.approx(stdtrit(2, 0.975) * 1 / 3**0.5)
    assert found["6.1, keep0-cgroups10, depth 1, cgroup v2"]["Slab"].value == 2.0
    [charges] = [line for line in calls.lines if line.keys == ("vm", "1", "try_charge_memcg")]
    assert (charges.cells[0].value, charges.cells[0].half_width, charges.cells[-1]) == (61 / 200, None, "1")


def test_tables_say_what_an_operation_costs(profile_of, tmp_path):
    """Hand-worked: two repeats of 110 and 130 ns in a cgroup; the root is not ours, so nothing stands there."""
    repeats = [
        {"operation": "pipe", "processes": 1, "round": n, "accounted_ns": 110.0 + 20 * n, "objects": 6} for n in (0, 1)
    ]
    case = Case("live", "6.1", "cost", 2, 1, 2, usual(), 0)
    row = Row(case, "p", "usual", KERNEL, profile_of("linux-6.1"), deterministic=False, costs=repeats)
    for table in ("points", "costs"):
        (tmp_path / table).mkdir()
        pq.write_table(tables_of([row])[table], tmp_path / table / "00000.parquet")
    files = [{"path": f"{table}/00000.parquet"} for table in ("points", "costs")]
    (tmp_path / "manifest.json").write_text(json.dumps({"state": "complete", "files": files}))

    [costs] = sheets_of(open_run(str(tmp_path)))

    [line] = costs.lines
    assert (costs.columns, line.keys) == (("charged", "n"), ("live", "2", "pipe, 1 at once"))
    assert line.cells[0].value == 120.0
    assert line.cells[0].half_width == pytest.approx(stdtrit(1, 0.975) * 10)


@pytest.mark.parametrize("form", Form)
def test_tables_of_real_kernels_are_written_as_any(profile_of, tmp_path, form):
    """Every format has the figure with its unit; a mail's lines are 72 columns."""
    run = write_run(tmp_path / "run", profile_of("linux-6.1"), consoles())
    command = [sys.executable, "-m", "analysis", "tables", str(run), "--format", str(form)]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout

    assert {"table": "5.0 ±2.5 KiB", "text": "5.0 +-2.5 KiB", "markdown": "5.0 ± 2.5 KiB", "csv": ",5.0,"}[form] in said
    refused = subprocess.run([*command, "--cpus", "2"], capture_output=True, text=True)
    assert (refused.returncode, refused.stderr) == (2, "--cpus must be left out for a run of real kernels (got '2')\n")
    assert form != "text" or max(map(len, said.splitlines())) <= 72
