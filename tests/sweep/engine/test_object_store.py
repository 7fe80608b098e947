"""Runs on object stores: they land, resume, are locked and are read as on a disk. The servers are real, over HTTP."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from threading import Barrier

import pytest
from pyarrow import fs

from sweep.engine import lock
from sweep.engine.compact import compact, run_digest
from sweep.engine.loop import Task, run_task
from sweep.engine.store import Store, TornPartError
from sweep.errors import BAD_INPUT, TERMINATED, InputError
from sweep.folder import PARTS
from sweep.version import core_digest
from tests.support.commands import TINY, command, digests, folder, sweep
from tests.support.toys import Squares

pytestmark = pytest.mark.long

BUCKET = ("--in-memory", "--default-bucket", "bucket")
FAST = {"RENEW_S": 1.2, "LEASE_S": 4.0, "WATCH_S": 0.2}  # modification times are whole seconds


@contextmanager
def serving(module, *options):
    """Run a server of a module's on a free port of loopback, until the end; yield its address."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    line = [sys.executable, "-m", *module, "--host", "127.0.0.1", "--port", str(port), *options]
    process = subprocess.Popen(line, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        for _ in range(600):
            with contextlib.suppress(ConnectionError), socket.create_connection(("127.0.0.1", port)):
                break
            time.sleep(0.1)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait()


@pytest.fixture(scope="module")
def s3():
    """A bucket on an S3-compatible server, which the standard variables of the environment lead to."""
    with pytest.MonkeyPatch.context() as patch, serving(["moto.server"]) as url:
        patch.setenv("AWS_ENDPOINT_URL", url)
        patch.setenv("AWS_ACCESS_KEY_ID", "anyone")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "anything")
        patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        patch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        fs.FileSystem.from_uri("s3://bucket?allow_bucket_creation=true")[0].create_dir("bucket")
        yield "s3://bucket"


@pytest.fixture(scope="module")
def gs():
    """The same on a server that speaks Google's protocol."""
    with pytest.MonkeyPatch.context() as patch, serving(["gcp_storage_emulator", "start"], *BUCKET) as url:
        patch.setenv("CLOUD_STORAGE_EMULATOR_ENDPOINT", url)
        yield "gs://anonymous@bucket"


@pytest.fixture(params=["s3", "gs"])
def store(request):
    """A run's folder of its own."""
    return Store(f"{request.getfixturevalue(request.param)}/{request.node.originalname}")


@pytest.fixture(scope="module")
def expected(tmp_path_factory):
    """The digests of the tiny sweep on a disk."""
    return digests(folder(sweep(*TINY, "cluster=inline", f"out={tmp_path_factory.mktemp('disk')}")))


def objects(store):
    """Names of the objects below a folder."""
    found = store.fs.get_file_info(fs.FileSelector(store.path, recursive=True, allow_not_found=True))
    return {info.path.removeprefix(f"{store.path}/") for info in found if info.type == fs.FileType.File}


def test_a_sweep_lands_and_is_read(s3, expected):
    """A sweep on Ray's workers lands on S3 what one on a disk lands, leaves no parts and no lock, and SQL reads it."""
    line = (*TINY, "cluster=local", "cluster.cores=2", f"out={s3}/whole")
    done = sweep(*line)
    assert done.returncode == 0, done.stderr
    run = done.stdout.splitlines()[-1]

    assert run.startswith("s3://bucket/whole/smoke/")
    assert digests(run) == expected
    tables = {"points/00000.parquet", "series/00000.parquet"}
    assert objects(Store(run)) == tables | {"CHECKSUMS", "manifest.json", "progress.json"}
    assert "nothing left to do" in sweep(*line).stderr

    asked = [sys.executable, "-m", "analysis", "sql", run, "select count(*) as n from points", "--format", "csv"]
    read = subprocess.run(asked, capture_output=True, text=True, timeout=120)
    assert (read.returncode, read.stdout.split()) == (0, ["n", "72"]), read.stderr


def test_a_stopped_sweep_resumes(s3, expected):
    """SIGTERM stops a sweep on S3 between tasks and lets its lock go; the same command does the rest."""
    line = (*TINY, "cluster=inline", "cluster.task_s=0.01", f"out={s3}/stopped")
    driver = subprocess.Popen(command(*line), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    root, began = Store(f"{s3}/stopped"), time.monotonic()
    while not any(f"/{PARTS}/points/" in name for name in objects(root)) and time.monotonic() < began + 60:
        time.sleep(0.05)
    driver.send_signal(signal.SIGTERM)
    said = driver.communicate(timeout=60)[1]

    assert driver.returncode == TERMINATED, said
    assert any(f"/{PARTS}/points/" in name for name in objects(root))
    assert not any("/lock/" in name for name in objects(root))
    assert digests(sweep(*line).stdout.splitlines()[-1]) == expected


@pytest.mark.usefixtures("s3")
def test_no_bucket_is_one_line():
    """Where nothing can be written, the user is told in one line, and no traceback."""
    done = sweep(*TINY, "cluster=inline", "out=s3://nowhere/x")

    assert done.returncode == BAD_INPUT
    (told,) = done.stderr.splitlines()
    assert told.startswith("memcg-sweep: out must be a place one can write to (got s3://nowhere/x/")


def test_a_part_that_rotted_is_found(store):
    """What reads wrong at the end is named, so that it is done again."""
    job = Squares(40)
    for start in (0, 20):
        run_task(job, store.root, core_digest(), Task(start, start + 20))
    path = store.parts("points")[20, 40]
    with store.fs.open_input_stream(f"{store.path}/{path}") as file:
        content = bytearray(file.read())
    content[60] ^= 0xFF
    store.write(path, bytes(content))
    with pytest.raises(TornPartError) as torn:
        compact(store, job.tables, job.grain, store.parts("points"))
    assert torn.value.stretch == (20, 40)

    store.forget(job.tables, (20, 40))
    assert list(store.parts("points")) == [(0, 20)]
    run_task(job, store.root, core_digest(), Task(20, 40))
    files = compact(store, job.tables, job.grain, store.parts("points"))
    assert {file["path"]: file["rows"] for file in files} == {"series/00000.parquet": 12, "points/00000.parquet": 40}


def test_half_an_upload_leaves_nothing(store):
    """An object that was not written to its end is not there."""
    with contextlib.suppress(KeyboardInterrupt), store.stream("points/00000.parquet") as sink:
        sink.write(b"half")
        raise KeyboardInterrupt

    assert objects(store) == set()


def test_the_digest_does_not_depend_on_the_place(store, tmp_path):
    """The same task leaves the same rows on a disk and on an object store."""
    job, found = Squares(40), []
    for place in (store, Store(str(tmp_path))):
        run_task(job, place.root, core_digest(), Task(0, 40))
        compact(place, job.tables, job.grain, place.parts("points"))
        found.append({table: run_digest(place, table) for table in job.tables})

    assert found[0] == found[1]


def test_the_second_driver_is_told(store, monkeypatch):
    """Beside a driver that lives, another is refused as soon as it sees a renewal; afterwards the folder is free."""
    for name, value in FAST.items():
        monkeypatch.setattr(lock, name, value)
    monkeypatch.setattr(lock, "LEASE_S", 60.0)
    with lock.held(store):
        began = time.monotonic()
        with pytest.raises(InputError, match=f"held by pid {os.getpid()} on"), lock.held(store):
            pass
        assert time.monotonic() - began < 10
    assert objects(store) == set()
    with lock.held(store):
        pass


def test_of_twenty_that_race_exactly_one_wins(s3):
    """S3 writes an object only if it is not there yet, so that of drivers that come at once one is let in, always."""
    pytest.importorskip("obstore", reason="the extra `s3` is not installed")
    for race in range(3):
        start, tried = Barrier(20), Barrier(20)

        def driver(root=f"{s3}/race-{race}", start=start, tried=tried):
            store = Store(root)
            start.wait()
            try:
                with lock.held(store):
                    tried.wait()  # all others have been refused by now
                    return "won"
            except InputError as error:
                tried.wait()
                return str(error)

        with ThreadPoolExecutor(20) as drivers:
            ends = [each.result() for each in [drivers.submit(driver) for _ in range(20)]]

        assert ends.count("won") == 1, ends
        assert all("out must not be in use by another driver" in end for end in ends if end != "won")
        assert objects(Store(f"{s3}/race-{race}")) == set()


def test_the_claim_of_a_dead_driver_runs_out(store, monkeypatch):
    """A claim that nobody renews is waited for as long as a lease lasts, and then removed."""
    for name, value in FAST.items():
        monkeypatch.setattr(lock, name, value)
    for name in ("lock/0123", "lock/gate-0"):
        store.write(name, b"pid 1 on a node that died")
    began = time.monotonic()
    with lock.held(store):
        assert time.monotonic() - began >= FAST["LEASE_S"]
        assert not objects(store) & {"lock/0123", "lock/gate-0"}
        assert objects(store)


def test_two_at_once_are_not_both_let_in(store, monkeypatch):
    """A claim that appears while ours is written sends us away, whoever was first."""
    monkeypatch.setattr(lock, "_outwait", lambda store: store.write("lock/0123", b"pid 1 on another node") or 0)
    with pytest.raises(InputError, match="held by pid 1 on another node"), lock.held(store):
        pass

    assert objects(store) == {"lock/0123"}


def test_a_driver_that_lost_its_claim_stops(store, monkeypatch):
    """A driver that slept past its lease, and whose run another took, is told to stop as a batch system would."""
    for name, value in FAST.items():
        monkeypatch.setattr(lock, name, value)
    told = []
    before = signal.signal(signal.SIGTERM, lambda number, _: told.append(number))
    try:
        with lock.held(store):
            for name in objects(store):
                store.delete(name)
            until = time.monotonic() + 10
            while not told and time.monotonic() < until:
                time.sleep(0.1)
    finally:
        signal.signal(signal.SIGTERM, before)

    assert told == [signal.SIGTERM]
