"""From a folder of reference figures to verdicts."""

import csv
import json
import subprocess
import sys

import duckdb
import hydra
import pyarrow.parquet as pq
import pytest

from analysis.run import InputError as Refused
from analysis.run import open_run
from analysis.validate import _view, score, verdicts
from sweep.config import detect, hosts, kernels, schema
from sweep.errors import InputError
from sweep.folder import OWN_REFERENCE
from sweep.jobs import validate
from tests.support import CONF

KERNELS = "kernel,profile 5.8.1,tiny-5.8.1"
WORKLOADS = "workload,control,cgroups,files,keep,warm_ms some,none,10,3,2,50 none,,10,3,0,50"
MEMORY = (
    "kernel,cpus,workload,run,cgroups_removed,phase,dying_memcgs,memcg_kmem_caches,slab_kib,percpu_kib"
    " 5.8.1,4,some,1,0,boot,0,0,1000,100 5.8.1,4,some,1,10,settled,0,20,1300,100"
    " 5.8.1,4,none,1,0,boot,0,0,1000,100 5.8.1,4,none,1,10,settled,0,0,1020,100"
)
SLABS = (
    "kernel,cpus,workload,phase,kmem_cache,object_bytes,objects_per_slab,pages_per_slab,active_objects,total_objects"
    " 5.8.1,4,some,boot,dentry,192,21,1,21,21 5.8.1,4,some,settled,dentry,192,21,1,42,252"
)
CALLS = (
    "kernel,cpus,depth,files,phase,function,calls"
    " 5.8.1,4,3,500,create,try_charge,80 5.8.1,4,3,500,create,page_counter_try_charge,6"
    " 5.8.1,4,3,500,unlink,__memcg_kmem_uncharge,30 5.8.1,4,3,500,unlink,page_counter_uncharge,30"
    " 5.8.1,4,3,500,unlink,page_counter_cancel,120"
)


def write(folder, **tables):
    """Write tables, given as rows between blanks."""
    for name, rows in tables.items():
        (folder / f"{name}.csv").write_text("\n".join(rows.split()))
    return folder


@pytest.fixture(autouse=True)
def _measured_only(monkeypatch):
    """Leave out published figures, which take a minute and have tests of their own."""
    monkeypatch.setattr(validate, "PUBLISHED", {})


@pytest.fixture
def reference(tmp_path):
    """Return a folder with figures of a kernel, a CPU count and workloads that the project's own folder lacks."""
    folder = tmp_path / "reference"
    folder.mkdir()
    return write(folder, kernels=KERNELS, workloads=WORKLOADS, vm_memory=MEMORY, vm_slabs=SLABS, ftrace_calls=CALLS)


def job(folder):
    schema.register()
    detect.register()
    hosts.register()
    kernels.register()
    with hydra.initialize_config_dir(str(CONF), version_base="1.3"):
        return validate.job({"reference": str(folder)})


@pytest.fixture
def run(reference, tmp_path):
    """Return a finished run of everything in the folder."""
    it = job(reference)
    folder = tmp_path / "run"
    (folder / "figures").mkdir(parents=True)
    pq.write_table(it.work(0, it.count())["figures"], folder / "figures" / "00000.parquet")
    files = [{"path": "figures/00000.parquet"}]
    manifest = {"state": "complete", "config": {"reference": str(reference)}, "files": files}
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return open_run(str(folder))


def by_figure(rows, group):
    names = rows.columns
    found = [dict(zip(names, row, strict=True)) for row in rows.fetchall()]
    return {row["figure"]: row for row in found if row["group"] == group}


def test_cases_are_what_the_folder_lists(reference):
    """A workload with a control is a case for each kernel and CPU count, a control is none."""
    kinds = [(case.kind, case.kernel, case.cpus, case.workload or case.depth) for case in job(reference).cases]

    assert kinds == [("memory", "5.8.1", 4, "some"), ("calls", "5.8.1", 4, 3)]


def test_inputs_name_what_was_read(reference):
    """Another number in a table is another run."""
    before = job(reference).inputs

    write(reference, workloads=WORKLOADS.replace("some,none,10", "some,none,11"))

    assert job(reference).inputs != before


def test_references_are_paired_differences(run):
    """Hand-worked: (300 - 20) KiB, 20 caches and 10 pages of dentries by 10 cgroups; 6 walks in 80; 4 levels."""
    rows = verdicts(run, None)
    memory, calls = by_figure(rows, "memory"), by_figure(rows, "calls")

    assert memory["slab"]["reference"] == 28
    assert memory["slab"]["tolerance"] == pytest.approx(2.8)
    assert memory["memcg kmem_caches"]["reference"] == 2
    assert memory["percpu"]["tolerance"] == 3 * 4 * 4 / 10
    assert memory["slab of dentry"]["reference"] == 11 * 4 / 10
    assert calls["charge walks"]["reference"] == 6 / 80
    assert calls["uncharge atomics"]["reference"] == 4


def test_verdicts_follow_from_model_and_tolerance(run):
    """The model meets what it can: 2 caches left per cgroup, no dying memcg, one walk and 4 atomics per uncharge."""
    rows = verdicts(run, None)
    memory, calls = by_figure(rows, "memory"), by_figure(rows, "calls")

    assert memory["dying memcgs"]["verdict"] == memory["memcg kmem_caches"]["verdict"] == "ok"
    assert calls["uncharge walks"]["verdict"] == calls["uncharge atomics"]["verdict"] == "ok"
    for row in memory.values():
        assert (row["verdict"] == "ok") == (abs(row["error"]) <= row["tolerance"])


def test_a_figure_out_of_tolerance_is_out(run, reference):
    """A reference that says another number of caches makes the verdict OUT, and the score say so."""
    write(reference, vm_memory=MEMORY.replace("settled,0,20", "settled,0,30"))

    rows = verdicts(run, reference)
    within, of = score(rows)

    assert by_figure(rows, "memory")["memcg kmem_caches"]["verdict"] == "OUT"
    assert within < of


def test_a_figure_that_was_fitted_is_shown_and_does_not_count(run, reference):
    """Its error is there to be read, its verdict is `fitted` however far off it is, and the score leaves it out."""
    before = score(verdicts(run, reference))
    (reference / "figures_own.csv").write_text(
        "group,figure,kernel,cpus,workload,unit,reference,tolerance,rule,role,source\n"
        'calls,uncharge walks,5.8.1,4,"unlink, depth 3",1/uncharge,100,0,relative,fitted,a guess\n'
    )

    rows = verdicts(run, reference)

    ((verdict, role, error),) = rows.filter("source = 'a guess'").project("verdict, role, error").fetchall()
    assert (verdict, role) == ("fitted", "fitted")
    assert error < -90
    assert score(rows) == before


def test_a_reference_that_the_run_lacks_is_no_model(run, reference):
    """Nothing is passed over in silence: a CPU count that was not run counts as not met."""
    write(reference, vm_memory=f"{MEMORY} {MEMORY.partition(' ')[2].replace('5.8.1,4', '5.8.1,16')}")

    rows = verdicts(run, reference)

    assert ("no model",) in set(rows.filter("cpus = 16").project("verdict").fetchall())


def test_a_run_without_figures_is_refused(run):
    """Only a validate run can be held against a reference."""
    run.manifest["files"] = []

    with pytest.raises(Refused, match=r"RUN must be of \+experiment=validate"):
        verdicts(run, None)


def test_a_missing_table_is_the_projects_own(tmp_path):
    """A folder with workloads only is read with the kernels and measurements of the project."""
    tables = validate.read_tables(write(tmp_path, workloads=WORKLOADS))

    assert [row["workload"] for row in tables["workloads"]] == ["some", "none"]
    assert tables["kernels"] == validate.read_tables(OWN_REFERENCE)["kernels"]


@pytest.mark.parametrize(
    ("tables", "message"),
    [
        ({"kernels": "kernel,profile 5.8.1,tiny-5.8.2"}, "5.8.1 in kernels.csv must be one of .*did you mean tiny-5"),
        ({"kernels": "kernel,profile 5.9.1,tiny-5.9.1"}, "kernel 5.8.1 must stand in kernels.csv"),
        ({"kernels": "kernel,name 5.8.1,tiny-5.8.1"}, "must have a column profile"),
        ({"workloads": WORKLOADS.rpartition(" ")[0]}, "workload none must stand in workloads.csv"),
        ({"workloads": WORKLOADS.replace("10", "ten")}, "cgroups must be a whole number"),
    ],
)
def test_bad_tables_are_one_line(reference, tables, message):
    """What is wrong with a reference folder is said with the name, the value and the way out."""
    write(reference, **tables)

    with pytest.raises(InputError, match=message) as error:
        job(reference)
    assert "\n" not in str(error.value)


@pytest.mark.slow
def test_the_whole_way_from_the_command_line(reference, tmp_path):
    """Two commands: the first lands the figures of the folder, the second judges them and says so by its status."""
    sweep = [sys.executable, "-m", "sweep", "+experiment=validate", "cluster=inline"]
    made = subprocess.run([*sweep, f"reference={reference}", f"out={tmp_path}"], capture_output=True, text=True)
    assert made.returncode == 0, made.stderr

    judged = subprocess.run(
        [sys.executable, "-m", "analysis", "validate", made.stdout.splitlines()[-1], "--format", "csv"],
        capture_output=True,
        text=True,
    )

    rows = {(row["group"], row["figure"]): row["verdict"] for row in csv.DictReader(judged.stdout.splitlines())}
    assert rows["memory", "dying memcgs"] == rows["calls", "uncharge walks"] == "ok"
    assert judged.returncode == (0 if set(rows.values()) == {"ok"} else 1)


def test_lines_of_a_table_may_end_either_way(tmp_path):
    """A table to which rows were appended with other line ends is read whole."""
    table = tmp_path / "workloads.csv"
    table.write_bytes(b"workload,control\r\nkeep1,keep0\r\nkeep2,keep0\n")
    con = duckdb.connect()

    _view(con, "workloads", [table])

    assert con.sql("from workloads").fetchall() == [("keep1", "keep0"), ("keep2", "keep0")]
