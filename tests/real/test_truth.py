"""The truth job: which points it has, what it refuses, and what a row holds."""

import os
import platform
from dataclasses import replace
from pathlib import Path

import hydra
import pytest

from core.workload import TmpfsProgram
from sweep.config import detect, hosts, kernels, schema
from sweep.engine.loop import Foretelling, HeavyJob, Measuring
from sweep.errors import InputError
from sweep.real import place, vm
from sweep.real.cases import Case
from sweep.real.guest import read_console
from sweep.real.kernels import Kernel
from sweep.real.options import usual_program
from sweep.real.rows import SCHEMAS, Row, tables_of
from sweep.real.truth import truth
from tests.real.test_guest import CHURN, COUNTS
from tests.support import CONF


def job(*overrides):
    """Return the job of a command line whose plan is only shown."""
    for each in (schema, detect, hosts, kernels):
        each.register()
    with hydra.initialize_config_dir(str(CONF), version_base="1.3"):
        config = hydra.compose("config", ["+experiment=truth", "plan=only", *overrides])
        return truth(config, None, [override.partition("=")[0].lstrip("+") for override in overrides])


def usual():
    for each in (schema, detect, hosts, kernels):
        each.register()
    with hydra.initialize_config_dir(str(CONF), version_base="1.3"):
        return usual_program()


def test_each_kernel_has_its_model_beside_it():
    """The default plan: two kernels, two CPU counts, three boots of keep1, keep0 and counts, on model and machine."""
    found = job()

    assert len(found.cases) == 2 * 2 * 2 * 3 * 3
    assert {case.source for case in found.cases} == {"model", "vm"}
    assert {(case.depth, case.cgroup_version) for case in found.cases} == {(1, 2)}
    of_vm = {(c.kernel, c.measure, c.cpus, c.program.keep, c.replicate) for c in found.cases if c.source == "vm"}
    of_model = {(c.kernel, c.measure, c.cpus, c.program.keep, c.replicate) for c in found.cases if c.source == "model"}
    assert of_vm == of_model
    assert isinstance(found, HeavyJob)
    assert isinstance(found, Foretelling)
    assert isinstance(found, Measuring)


def test_pairs_share_a_scenario():
    """A row of the model and one of a kernel are of one scenario where one program ran under one replicate."""
    cases = job("vm.kernel='6.1'").cases

    for of_model, of_vm in zip(cases[::2], cases[1::2], strict=True):
        assert (of_model.source, of_vm.source) == ("model", "vm")
        assert of_model.scenario_id == of_vm.scenario_id


def test_a_point_that_keeps_something_gets_its_control():
    """Where an axis lacks keep=0, the control is added, once for all points that share it."""
    found = job("vm.kernel='6.1'", "vm.measure=churn", "backend=vm", "++axes.workload.tmpfs.keep=[1,2]", "replicates=1")

    keeps = [case.program.keep for case in found.cases if case.source == "vm" and case.cpus == 1]
    assert sorted(keeps) == [0, 1, 2]


def test_a_key_stands_before_the_experiments_axis():
    """vm.kernel=PATH replaces the experiment's kernels, and backend=model leaves the machines out."""
    found = job("vm.kernel=./bzImage", "backend=model")

    assert {case.kernel for case in found.cases} == {"./bzImage"}
    assert {case.source for case in found.cases} == {"model"}


def test_a_machine_takes_its_cpus_and_memory():
    """Ray is asked for a core per CPU of the guest, and for the guest's memory and QEMU's."""
    found = job("vm.memory_mib=2048", "++axes.cpus=[4]")
    at = [case.source for case in found.cases].index("vm")

    assert found.resources(at).cores == 4
    assert found.resources(at).memory_bytes > 2048 << 20
    assert found.resources(0).cores == 1


def test_a_plan_says_how_many_boots_there_are():
    """Boots, kernels and time are foretold without one boot."""
    said = dict(job("replicates=2").foretold(2))

    assert "24 are boots" in said["points"]
    assert said["kernels"] == "6.1, 6.12"
    assert "on 2 cores" in said["time"]


def test_guest_time_by_instructions_makes_a_run_deterministic():
    """vm=icount with one CPU is deterministic; other virtual machines are not, the model is."""
    assert job("vm=icount", "++axes.cpus=[1]").about()["deterministic"]
    assert not job().about()["deterministic"]
    assert job("backend=model").about()["deterministic"]


@pytest.fixture
def node(monkeypatch):
    """A node with a cgroup of one's own four levels deep, whatever this one lets us do."""
    monkeypatch.setattr(place, "find", lambda: place.Place(2, Path("/somewhere"), None, 4))
    whole = {"available_bytes": 1 << 40, "num_cgroups": "10", "cpus_possible": 4}
    monkeypatch.setattr(place.observe, "sample", lambda *_: whole)


@pytest.mark.usefixtures("node")
def test_the_nodes_own_kernel_has_its_model_beside_it():
    """backend=live: the node decides CPUs, depth and version; costs are measured once, with rounds of their own."""
    found = job("backend=live", "replicates=2")

    own = {(case.kernel, case.cpus, case.depth, case.cgroup_version) for case in found.cases}
    assert own == {(platform.release(), os.cpu_count(), 4, 2)}
    measured = [(case.source, case.measure, case.program.keep, case.replicate) for case in found.cases]
    churned = {(source, "churn", keep, n) for source in ("model", "live") for keep in (0, 1) for n in (0, 1)}
    assert set(measured) == churned | {("live", "cost", 1, 0)}
    assert len(measured) == len(set(measured))
    assert not found.about()["deterministic"]
    assert found.resources(measured.index(("live", "cost", 1, 0))).cores == os.cpu_count()


@pytest.mark.usefixtures("node")
def test_machines_and_the_node_are_measured_in_one_run():
    """axes.backend=[vm,live]: the kernels of the virtual machines and the node's own, each with its model."""
    found = job("++axes.backend=[vm,live]", "replicates=1", "vm.measure=churn", "vm.kernel='6.1'")

    sources = {(case.kernel, case.source) for case in found.cases}
    assert sources == {("6.1", "vm"), ("6.1", "model"), (platform.release(), "live"), (platform.release(), "model")}


@pytest.mark.usefixtures("node")
@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (("++axes.cpus=[2]",), "cpus must be left to the node with backend=live"),
        (("vm.kernel='6.1'",), r"vm\.kernel must be left to the node"),
        (("workload.tmpfs.hold=sockets",), r"workload\.tmpfs\.hold must be files on a live kernel \(got 'sockets'\)"),
        (("workload.tmpfs.cgroups=4000",), r"workload\.tmpfs\.cgroups must be done in 120 s .* lower it"),
        (("workload.tmpfs.cgroups=6000", "workload.tmpfs.warm_ms=0"), r"must be at most 5000 on a live kernel"),
    ],
)
def test_what_a_live_kernel_is_not_asked_is_one_line(overrides, said):
    """What the node decides, and what it should not be asked for, is refused before anything is made."""
    with pytest.raises(InputError, match=said) as error:
        job("backend=live", *overrides)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (("design=objcg",), "design must be left to the kernel that is measured"),
        (("+axes.batch=[32,64]",), r"axes\.batch must be left to the kernel"),
        (("kernel='6.1'",), "kernel must be left to the kernel"),
        (("vm.measure=all",), r"vm\.measure must be one of churn, counts"),
        (("backend=qemu",), "backend must be one of"),
        (("vm=icount",), r"vm\.icount must have one CPU \(got cpus=2\)"),
        (("vm=icount", "vm.accel=kvm"), r"vm\.icount must be counted by TCG"),
        (("++axes.vm.kernel=[6.1]",), "must be text, since 6.10 is not 6.1"),
        (("workload=web_frontend", "~axes.workload"), "workload must be one that a real kernel runs"),
        (("workload.tmpfs.hold=pipes", "workload.tmpfs.data_kib=4"), "only files hold data"),
    ],
)
def test_what_cannot_be_measured_is_one_line(overrides, said):
    """A key that a kernel decides, and values that no machine has, are refused with key, rule, value and way out."""
    with pytest.raises(InputError, match=said) as error:
        job(*overrides)
    assert "\n" not in str(error.value)


def row(profile, console, **case):
    """Return a row of a boot, read from a console."""
    program = replace(usual(), **case.pop("program", {}))
    whole = Case("vm", "6.1", case.get("measure", "churn"), 2, 1, 2, program, 0)
    found = Row(whole, "p", "keep1", Kernel("6.1", "6.1", "6.1.0-x", "ab", "", None), profile, deterministic=False)
    vm.fill(found, read_console(console))
    return found


def test_rows_are_raw(profile_of):
    """What a console says lands before and after, and nothing is subtracted; a cache nobody saw before had nothing."""
    tables = tables_of([row(profile_of("linux-6.1"), CHURN)])
    (point,), (slab,) = tables["points"].to_pylist(), tables["slabs"].to_pylist()

    assert (point["slab_kib_before"], point["slab_kib_after"]) == (100, 180)
    assert (point["dying_memcgs_before"], point["dying_memcgs_after"]) == (0, 2)
    assert (slab["total_objects_before"], slab["total_objects_after"]) == (42, 84)
    assert point["design"] == "objcg"
    assert tables["calls"].num_rows == 0


def test_calls_keep_what_probes_missed(profile_of):
    """Hits and misses land as they stood around a phase; the function profiler starts at 0."""
    calls = tables_of([row(profile_of("linux-6.1"), COUNTS, measure="counts")])["calls"].to_pylist()
    found = {call["function"]: call for call in calls}

    assert (found["try_charge_memcg"]["hits_before"], found["try_charge_memcg"]["hits_after"]) == (5, 619)
    assert found["try_charge_memcg"]["misses_after"] == 1
    assert found["obj_cgroup_uncharge_pages"]["hits_before"] == 0


def test_every_column_has_a_unit_and_a_meaning():
    """The Parquet schema says of each column what it is."""
    for table in SCHEMAS.values():
        assert all(field.metadata[b"unit"] and field.metadata[b"doc"] for field in table)


def test_the_program_on_the_command_line_is_the_usual_one():
    """What runs on real kernels by default is the reference's keep1."""
    program = usual()

    assert isinstance(program, TmpfsProgram)
    assert (program.cgroups, program.files, program.keep, program.warm_ms) == (200, 4, 1, 50)
