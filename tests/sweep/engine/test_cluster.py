"""Batch systems: `ray job submit`, a node that dies, a token, another core, Slurm's script and Kubernetes' file."""

import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import jsonschema
import pytest
import yaml

from sweep.errors import BAD_INPUT, TERMINATED
from tests.support import ROOT
from tests.support.commands import TINY, command, digests, folder, sweep, until_landed
from tests.support.nodes import RAY

BATCH = ROOT / "sweep" / "batch"
SUPPORT = ROOT / "tests" / "support"
SHIMS = {
    "scontrol": "#!/bin/sh\necho node-1\necho node-2\n",
    "srun": f'#!/bin/sh\nexec {sys.executable} {SUPPORT / "srun.py"} "$@"\n',
}


@pytest.fixture(scope="module")
def expected(tmp_path_factory):
    """The digests of the tiny sweep in one process."""
    return digests(folder(sweep(*TINY, "cluster=inline", f"out={tmp_path_factory.mktemp('inline')}")))


def submit(cluster, code, *line):
    """Send a checkout and a command to the cluster with `ray job submit`."""
    environment = str(BATCH / "runtime_env.yaml")
    options = ("--address", cluster.dashboard, "--working-dir", str(code), "--runtime-env", environment)
    return cluster.run(RAY, "job", "submit", *options, "--", *line)


def checkout(where):
    """Copy what a job needs of this checkout."""
    for package in ("core", "conf", "sweep"):
        shutil.copytree(ROOT / package, where / package, ignore=shutil.ignore_patterns("__pycache__"))
    return where


@pytest.mark.slow
def test_a_submitted_job_lands_the_same(cluster, tmp_path, expected):
    """`ray job submit` of a checkout lands on three nodes what one process lands, and ends with the run's folder."""
    code = checkout(tmp_path / "code")
    done = submit(cluster, code, "python", "-m", "sweep", *TINY, "cluster=ray", f"out={tmp_path}")

    assert done.returncode == 0, done.stdout + done.stderr
    run = next(line for line in done.stdout.splitlines() if line.startswith(f"{tmp_path}/smoke/"))
    assert digests(run) == expected
    assert len(json.loads(Path(run, "manifest.json").read_text())["nodes"]) == 3


def test_another_core_is_refused(tmp_path):
    """A worker that finds somebody else's `core` first says where, before it imports anything that the job needs."""
    (tmp_path / "core").mkdir()
    (tmp_path / "core" / "__init__.py").write_text("")
    code = (
        "from sweep.engine.loop import Task; from sweep.engine.on_ray import _work;"
        f"print(_work(b'never unpickled', {str(tmp_path / 'out')!r}, '0123456789ab', Task(0, 1)))"
    )
    path = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=path, cwd=tmp_path)

    assert f"a worker has another core ({tmp_path / 'core'} is " in done.stdout, done.stderr
    assert "why='fatal'" in done.stdout
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_without_the_token_nobody_gets_in(cluster, tmp_path):
    """A driver with another token is turned away in one line, and nothing is written."""
    stranger = cluster.environment | {"RAY_AUTH_TOKEN": "0" * 32}
    done = sweep(*TINY, "cluster=ray", f"cluster.address={cluster.address}", f"out={tmp_path / 'out'}", env=stranger)

    assert done.returncode == BAD_INPUT, done.stderr
    assert "cluster.address must lead to a running Ray cluster" in done.stderr
    assert not list(tmp_path.glob("out/**/parts"))


@pytest.mark.slow
def test_a_node_that_joins_is_used(cluster, tmp_path):
    """A node that comes while a run goes on gets tasks, and the manifest names it."""
    where = ("cluster=ray", f"cluster.address={cluster.address}", f"out={tmp_path}", "cluster.task_s=0.1")
    line = command("+experiment=smoke", "axes.cpus={lin: [1, 8, 8]}", "replicates=14", *where)
    driver = subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=cluster.environment)
    until_landed(driver, tmp_path)
    cluster.add()
    said, trouble = driver.communicate(timeout=300)
    cluster.kill()

    assert driver.returncode == 0, trouble
    assert len(json.loads(Path(said.splitlines()[-1], "manifest.json").read_text())["nodes"]) == 4


@pytest.mark.slow
def test_a_slurm_job_stops_and_resumes(tmp_path, expected):
    """Slurm's SIGTERM stops the sweep between tasks and takes the cluster down; the same line finishes."""
    shims = tmp_path / "bin"
    shims.mkdir()
    for name, script in SHIMS.items():
        (shims / name).write_text(script)
        (shims / name).chmod(0o755)
    environment = os.environ | {
        "PATH": os.pathsep.join([str(shims), str(Path(sys.executable).parent), os.environ["PATH"]]),
        "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "1",
        "SLURM_CPUS_ON_NODE": "1",
        "SLURM_JOB_ID": str(os.getpid()),
        "SLURM_JOB_NODELIST": "node-[1-2]",
        "SLURM_SUBMIT_DIR": str(tmp_path),
    }
    line = ["bash", str(BATCH / "slurm.sbatch"), *TINY, "cluster.task_s=0.01", f"out={tmp_path / 'out'}"]
    said = {}
    for attempt in ("stopped", "finished"):
        job = subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)
        if attempt == "stopped":
            until_landed(job, tmp_path / "out")
            job.send_signal(signal.SIGTERM)
        said[attempt] = (*job.communicate(timeout=300), job.returncode)
        assert not list(tmp_path.glob(".ray-token-*"))

    assert said["stopped"][2] == TERMINATED, said
    assert "the same command resumes" in said["stopped"][1]
    assert said["finished"][2] == 0, said
    run = said["finished"][0].splitlines()[-1]
    assert digests(run) == expected
    assert len(json.loads(Path(run, "manifest.json").read_text())["nodes"]) == 2


def test_the_slurm_script_is_sound():
    """ShellCheck has nothing to say of the script, and Slurm signals the shell that has the trap."""
    script = BATCH / "slurm.sbatch"
    checked = subprocess.run([Path(sys.executable).with_name("shellcheck"), script], capture_output=True, text=True)

    assert checked.stdout == ""
    assert "#SBATCH --signal=B:TERM@120" in script.read_text().splitlines()


def test_the_rayjob_is_valid():
    """The RayJob has no field that KubeRay does not know, has a token, and its entrypoint composes."""
    job = yaml.safe_load((BATCH / "rayjob.yaml").read_text())
    schema = json.loads((SUPPORT / "rayjob.schema.json").read_text())
    jsonschema.Draft202012Validator(schema).validate(job)
    python, *line = shlex.split(job["spec"]["entrypoint"])
    composed = subprocess.run([sys.executable, *line, "--cfg", "job"], capture_output=True, text=True, timeout=60)

    assert python == "python"
    assert job["spec"]["rayClusterSpec"]["authOptions"] == {"mode": "token"}
    assert composed.returncode == 0, composed.stderr
    assert yaml.safe_load(composed.stdout)["cluster"]["address"] == "auto"


@pytest.mark.parametrize("wrong", [{"backOffLimit": 3}, {"rayClusterSpec": {"rayVersion": 2.6}}, {"backoffLimit": "3"}])
def test_the_schema_sees_mistakes(wrong):
    """A misspelt field, a wrong type and a missing group are no valid RayJob."""
    job = yaml.safe_load((BATCH / "rayjob.yaml").read_text())
    job["spec"] |= wrong
    schema = json.loads((SUPPORT / "rayjob.schema.json").read_text())

    assert list(jsonschema.Draft202012Validator(schema).iter_errors(job))
