"""The command line: what bad input is answered with, and what a run leaves behind."""

import sys

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import sweep.run
from sweep.__main__ import main
from sweep.config import kernels, schema
from sweep.engine import signals

BAD = {
    "batc=3": "did you mean batch?",
    "workload.leftovers.dentri.private=3": "did you mean workload.leftovers.dentry?",
    "workload.pressure.memory_mib=32GiB": "must be above in_use_mib, 40960 (got 32GiB)",
    "batch=two": "could not be converted to Integer",
    "batch=0": "use stock=false",
    "cpus=1.5": "could not be converted to Integer",
    "cpus=1,2": "--multirun",
    "churn_hz=-1": "from 0 to",
    "duration_s=inf": "from 1 to",
    "seed=null": "not Optional",
    "seed=99999999999999999999": "from 0 to",
    "design=objgc": "must be one of",
    "+experiment=chrun": "did you mean churn?",
    "experiment=churn": "+experiment=churn",
    "kernel=linux-zen": "docs/kernels.md has the distributions",
    "axes.kernel=[linux-5.22]": "did you mean linux-5.2?",
    "axes.cpus={lgo: [1, 8, 3]}": "axes.cpus must be one of lin, log, pow2 (got 'lgo'); did you mean log?",
    "+workload.leftovers.filp={private: 1}": "workload.leftovers.filp must be in a file to be new",
    "kernel=null": "must be a string",
    "kernel=rhel-7": "older ones, RHEL 7's 3.10 too",
    "kernel=image": "kernel.image must be set",
    "kernel.image=/boot/vmlinuz": "add kernel=image",
    "kernel=[linux-5.2,linux-6.1]": "axes.kernel=[...]",
    "~kernel": "must be set",
    "~cpus": "must be set",
    "kernel.structs=3": "kernel.structs",
    "workload.caches=null": "not Optional",
    "workload.lifetime_s=0": "workload.lifetime_s must be from 1e-9 to 1e9",
    "workload.stray_tasks=inf": "workload.stray_tasks must be from 0 to 1e9",
    "+workload.caches={names_cache: []}": "workload.caches.names_cache must be",
    "+workload.caches.denty=3": "add it to kernel.caches",
    "cpus=${nope}": "nope",
    "batch=[": "KEY=VALUE",
    "where=batch<": "KEY=VALUE",
    "where='batch < bath'": "did you mean batch?",
    "where='__import__(\"os\")'": "must not use",
    "where='cpus'": "must be true or false",
    "axes=3": "Cannot assign int",
    "axes.cpus=[]": "must not be empty",
    "axes.cpus=[0]": "from 1 to",
    "axes.cpus=[2,2]": "must not repeat",
    "axes.cpus={pow2:[1]}": "give 2 numbers",
    "axes.cpus={log:[1,8,99]}": "use fewer",
    "axes.cpus={log:[1,8]}": "sample must draw it",
    "axes.batch=[two]": "could not be converted",
    "axes.workload.stray_tasks=[1e400]": "must be from 0 to 1e9",
    "axes.batc=[3]": "did you mean batch?",
    "axes.workload.lifetime=[3]": "did you mean workload.lifetime_s?",
    "axes.workload.charge=[3]": "one value",
    "axes.kernel=[linux-zen]": "docs/kernels.md has the distributions",
    "axes.replicate=[1]": "does not exist",
    "zip=[[cpus,nodes]]": "does not exist",
    "sample={method:sobol,n:8,seed:1}": "must have an axis to draw",
    "replicates=0": "from 1 to",
    "out=": "a folder or an address",
    "out=ftp://host/folder": "s3://bucket/folder",
    "plan=maybe": "must be one of",
    "job=sweeep": "did you mean sweep?",
    "cluster=slurm": "must be one of",
    "cluster.cores=0": "from 1 to",
    "++cluster.foo=3": "does not exist",
    "--foo": "unrecognized arguments",
    "--config-dir=/does/not/exist": "not found",
    "--config-name=foo": "foo",
}


def run_here(arguments, monkeypatch):
    """Run a command line in this process, up to where a run would begin its folder; return its exit status."""
    monkeypatch.setattr(sys, "argv", ["memcg-sweep", *arguments])
    monkeypatch.setattr(sweep.run, "run", lambda job, config, _: 0 if sweep.run.run_id(config, job.inputs) else 1)
    monkeypatch.setattr(sweep.run, "show_plan", lambda *_: 0)
    monkeypatch.setattr(signals, "install", lambda: None)  # Ctrl-C is the test's, not the sweep's
    with pytest.raises(SystemExit) as end:
        main()
    return end.value.code


@pytest.mark.parametrize(("line", "part"), BAD.items())
def test_bad_input_is_answered_in_one_line(line, part, tmp_path, monkeypatch, capfd):
    """Each wrong command line gets one line that says what to do, status 2, and leaves no file."""
    monkeypatch.chdir(tmp_path)
    status = run_here([line], monkeypatch)
    said = capfd.readouterr()

    assert status == 2
    assert len(said.err.strip().splitlines()) == 1
    assert part in said.err
    assert said.out == ""
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "says"),
    [([], ("+experiment=churn", "kernel=", "smoke", "analysis")), (["--version"], ("memcg-sweep ",))],
)
def test_bare_says_what_one_can_do(arguments, says, tmp_path, monkeypatch, capsys):
    """Without an argument it says what there is and runs nothing; --version is the project's own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["sweep", *arguments])
    with pytest.raises(SystemExit) as end:
        main()
    out = capsys.readouterr().out

    assert end.value.code == 0
    assert all(word in out for word in says)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("then", ["refine.metric=dead", "refine.axes=[design]"])
def test_a_refusal_stands_alone(then, monkeypatch, capfd):
    """What is worth saying of the kernel and of the plan is not said of a plan that is refused after all."""
    assert run_here(["+experiment=crossover", "kernel=5.8", "batch=7", then], monkeypatch) == 2
    assert len(capfd.readouterr().err.strip().splitlines()) == 1


def test_what_a_kernel_never_did_is_said(monkeypatch, capfd):
    """Of a plan that is sound, before it runs."""
    kernels.profile.cache_clear()  # which says it once
    assert run_here(["kernel=5.8", "batch=7"], monkeypatch) == 0
    lines = capfd.readouterr().err

    assert "kernel=5.8: rules of 5.8" in lines
    assert "batch=7: linux-5.8 never had it" in lines


def test_a_swept_key_cannot_be_set_beside_its_axis(monkeypatch, capfd):
    """A value that no point would see is refused, not dropped."""
    status = run_here(["+experiment=smoke", "cpus=0"], monkeypatch)

    assert status == 2
    assert "give axes.cpus=[VALUE]" in capfd.readouterr().err


def test_a_list_replaces_an_experiments_range(monkeypatch):
    """Axes of the command line take the place of the experiment's, whatever form either has."""
    assert run_here(["+experiment=churn", "axes.cpus=[8,64]", "axes.churn_hz={lin: [1, 3, 3]}"], monkeypatch) == 0


KEYS = st.sampled_from(
    [*schema.every_key(), "axes.cpus", "axes.kernel", "axes.workload.lifetime_s", "+experiment", "hydra.job.name"]
)
SCALARS = st.one_of(
    st.integers().map(str),
    st.floats().map(str),
    st.sampled_from(
        ["null", "true", "''", "churn", "linux-5.2", "${cpus}", "${oc.env:HOME}", "objcg", "???", "1e400", "0x10"]
    ),
    st.text(max_size=8),
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3).map(lambda items: f"[{','.join(items)}]"),
        st.dictionaries(st.sampled_from(["log", "lin", "pow2", "n", "method"]), inner, max_size=2).map(
            lambda items: "{" + ",".join(f"{key}:{value}" for key, value in items.items()) + "}"
        ),
    ),
    max_leaves=5,
)
OVERRIDES = st.one_of(
    st.tuples(st.sampled_from(["", "", "", "+", "++", "~"]), KEYS, st.just("="), VALUES).map("".join),
    st.text(max_size=20).filter(lambda text: not text.startswith("-")),
)


def refuse_well(overrides, tmp_path, monkeypatch, capfd):
    """Check that a command line is either understood or answered in one line, and leaves no file."""
    monkeypatch.chdir(tmp_path)
    status = run_here(overrides, monkeypatch)
    said = capfd.readouterr().err

    assert status in (0, 2), said
    assert "Traceback" not in said
    assert status == 0 or len(said.strip().splitlines()) == 1, said  # what is understood may be remarked on
    assert list(tmp_path.iterdir()) == []


RANDOM = {
    "derandomize": True,
    "database": None,
    "suppress_health_check": [HealthCheck.function_scoped_fixture],
}


@settings(max_examples=60, **RANDOM)
@given(overrides=st.lists(OVERRIDES, min_size=1, max_size=3))
def test_random_lines_are_refused_well(overrides, tmp_path, monkeypatch, capfd):
    """Whatever is typed, there is no traceback and no partial file."""
    refuse_well(overrides, tmp_path, monkeypatch, capfd)


@pytest.mark.slow
@settings(max_examples=5000, **RANDOM)
@given(overrides=st.lists(OVERRIDES, min_size=1, max_size=3))
def test_five_thousand_random_lines_are_refused_well(overrides, tmp_path, monkeypatch, capfd):
    """The same, five thousand times."""
    refuse_well(overrides, tmp_path, monkeypatch, capfd)
