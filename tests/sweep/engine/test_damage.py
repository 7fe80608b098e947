"""Bytes that rot, names that lie, manifests that are gone: found, and healed by the same command."""

from __future__ import annotations

import json
import os
import random
import shutil
from pathlib import Path

import pyarrow as pa
import pyarrow.dataset as ds
import pytest

import analysis.run
from analysis.run import open_run
from sweep import folder
from sweep.engine.compact import run_digest
from sweep.engine.loop import Task, run_task
from sweep.engine.store import Store
from sweep.folder import InputError
from sweep.run import run as run_whole
from sweep.run import run_id
from sweep.version import core_digest
from tests.support.toys import Squares

JOB = Squares(60)
ROWS = [(position, position**2) for position in range(JOB.length)]
EMPTY = ds.dataset(pa.table({"position": [], "square": []}))


def config(out):
    """The config of a run of squares."""
    cluster = {"kind": "inline", "task_s": 1e-3, "in_flight": 2, "retries": 1, "max_failed": 100, "cores": None}
    return {"out": str(out), "cluster": cluster} | {group: {"name": "none"} for group in ("kernel", "workload", "host")}


def finish(out, capfd):
    """Run squares below a folder to their end; return the run's folder and what was said."""
    assert run_whole(JOB, config(out), "toys") == 0
    said = capfd.readouterr()
    return Path(said.out.splitlines()[-1]), said.err


def stopped(out):
    """A run of squares of which a third is still to do."""
    root = Path(out) / "toys" / run_id(config(out), "")
    for start in (0, 20):
        run_task(JOB, str(root), core_digest(), Task(start, start + 20))
    running = {"state": "running", "positions": 60, "points": 60}
    (root / folder.MANIFEST).write_bytes(folder.sealed(running))
    return root


def digests(root):
    """The digest of each table of a run."""
    return {table: run_digest(Store(str(root)), table) for table in JOB.tables}


def read(root):
    """The rows of a run as analysis reads them; None where it refuses to, as it does a run with holes."""
    try:
        rows = open_run(str(root)).tables().get("points", EMPTY).to_table().to_pylist()
        return sorted((row["position"], row["square"]) for row in rows)
    except InputError:
        return None


@pytest.fixture
def whole(tmp_path, capfd):
    """The folder of a run that is complete, and its digests."""
    root, _ = finish(tmp_path, capfd)
    return root, digests(root)


def damaged(content, pick):
    """Content with one bit turned, or cut short."""
    if pick.random() < 0.2:
        return content[: pick.randrange(len(content))]
    at = pick.randrange(len(content))
    return content[:at] + bytes([content[at] ^ 1 << pick.randrange(8)]) + content[at + 1 :]


def torment(whole, tmp_path, capfd, numbers):
    """Damage a file of a run time and again; the run must be healed, and a reader see the truth or nothing."""
    root, expected = whole
    half = stopped(tmp_path / "half")
    for number in numbers:
        pick = random.Random(number)
        original = pick.choice((root, half))
        out = tmp_path / "tormented"
        shutil.rmtree(out, ignore_errors=True)
        copy = out / "toys" / run_id(config(out), "")
        shutil.copytree(original, copy)
        victim = pick.choice([path for path in sorted(copy.rglob("*")) if path.is_file() and path.name != folder.LOCK])
        victim.write_bytes(damaged(victim.read_bytes(), pick))

        seen = read(copy)
        assert seen is None or set(seen) <= set(ROWS), (number, victim)
        assert seen is None or seen == ROWS or open_run(str(copy)).hole(), (number, victim)
        healed, said = finish(out, capfd)
        assert digests(healed) == expected, (number, victim, said)
        assert read(healed) == ROWS


def test_turned_bits_are_found(whole, tmp_path, capfd):
    """One bit anywhere in a part, a table, the manifest or the checksums: never silent, always healed."""
    torment(whole, tmp_path, capfd, range(25))


@pytest.mark.slow
def test_ten_thousand_turned_bits_are_found(whole, tmp_path, capfd, monkeypatch):
    """The same, ten thousand times."""
    monkeypatch.setattr("sweep.run.commit", lambda: None)  # a process of git's each time
    torment(whole, tmp_path, capfd, range(10_000))


def test_a_large_file_is_read_whole_once(whole, tmp_path, monkeypatch):
    """Of a large run that was checked, the footers are checked always, and the rest where --verify asks for it."""
    monkeypatch.setattr(analysis.run, "ALWAYS_BYTES", 100)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    root, _ = whole
    table = root / "points" / "00000.parquet"
    content, times = table.read_bytes(), (table.stat().st_atime_ns, table.stat().st_mtime_ns)
    assert read(root) == ROWS

    def turned(at):
        table.write_bytes(content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :])
        os.utime(table, ns=times)

    turned(5)  # inside of a page
    assert open_run(str(root)).tables()["points"].count_rows() == 60
    with pytest.raises(InputError, match=r"00000\.parquet is damaged"):
        open_run(str(root), verify=True).tables()
    turned(len(content) - 20)
    with pytest.raises(InputError, match=r"00000\.parquet is damaged"):
        open_run(str(root)).tables()


@pytest.mark.parametrize(
    "text", [b"", b"{}", b"[]", b"\xff\xfe", b"null", b'{"state": 5}', b'{"state": "complete"}', b"[" * 100_000]
)
def test_a_foreign_manifest_is_made_again(text, whole, capfd):
    """Whatever stands in manifest.json, tables that are there as they were written are a complete run."""
    root, expected = whole
    (root / folder.MANIFEST).write_bytes(text)
    assert read(root) in (ROWS, None)
    again, said = finish(root.parents[1], capfd)

    assert "nothing left to do" in said
    assert digests(again) == expected
    assert json.loads((root / folder.MANIFEST).read_text())["state"] == "complete"
    assert read(root) == ROWS


@pytest.mark.parametrize("path", ["../../../secret/00000.parquet", "/etc/passwd", "parts/x.parquet", "points/../x"])
def test_a_manifest_names_its_own_files_only(path, whole):
    """A file that is not of the run's tables makes a manifest somebody else's."""
    root, _ = whole
    manifest = json.loads((root / folder.MANIFEST).read_text())
    manifest["files"][0]["path"] = path

    assert folder.unsealed(json.dumps({k: v for k, v in manifest.items() if k != folder.DIGEST}).encode()) is None


def test_leftovers_and_strangers(whole, capfd):
    """What a killed write left is removed; a stranger is named and left alone; no reader sees a row twice."""
    root, expected = whole
    out = root.parents[1]
    (root / folder.MANIFEST).unlink()
    (root / folder.CHECKSUMS).unlink()
    table = root / "points" / "00000.parquet"
    for name in (f".{'0' * 32}.tmp", "00001.parquet"):
        (root / "points" / name).write_bytes(table.read_bytes())
    (root / "points" / "mine.txt").write_text("notes")
    (root / folder.PARTS / "points").mkdir(parents=True)
    (root / folder.PARTS / "points" / f".{'1' * 32}.tmp").write_bytes(b"half")
    (root / folder.PARTS / "points" / "0-60.parquet").write_bytes(table.read_bytes())
    (root / folder.PARTS / "points" / f"{0:018d}-{60:018d}.{'0' * 32}.parquet").write_bytes(table.read_bytes())
    _, said = finish(out, capfd)

    assert "0-60.parquet is no part of this run" in said
    assert "points/mine.txt is no file of this run" in said
    assert "is damaged; what it covers is done again" in said
    assert sorted(path.name for path in (root / "points").iterdir()) == ["00000.parquet", "mine.txt"]
    (root / "points" / "mine.txt").unlink()
    assert digests(root) == expected


def test_a_run_that_goes_on_can_be_read(tmp_path):
    """What has landed of a running sweep is read as far as it goes."""
    root = stopped(tmp_path)

    assert read(root) == ROWS[:40]
    assert open_run(str(root)).hole() == "it is running: 20 of 60 points missing"
    (root / folder.MANIFEST).unlink()
    assert read(root) == ROWS[:40]
