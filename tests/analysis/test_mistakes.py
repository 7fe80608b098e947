"""What people do by mistake: each is told in one line that names what is wrong, and nothing is written."""

from __future__ import annotations

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

POINTS = [{"design": "page_ref", "dead_bytes_end": 5}, {"design": "objcg", "dead_bytes_end": 3}]


@pytest.fixture
def mistake(land, tmp_path):
    """The place that a mistake points at, by its name."""
    run = land(POINTS)

    def _foreign() -> object:
        folder = tmp_path / "foreign"
        (folder / "points").mkdir(parents=True)
        pq.write_table(pa.table({"a": [1]}), folder / "points" / "00000.parquet")
        files = [{"path": "points/00000.parquet", "rows": 1}]
        (folder / "manifest.json").write_text(json.dumps({"state": "complete", "files": files}))
        return folder

    def _bare() -> object:
        folder = tmp_path / "bare"
        folder.mkdir()
        pq.write_table(pa.table({"a": [1]}), folder / "some.parquet")
        return folder

    def _broken() -> object:
        folder = tmp_path / "broken"
        folder.mkdir()
        (folder / "manifest.json").write_text("{")
        return folder

    def _truth() -> object:
        folder = tmp_path / "truth"
        for table in ("points", "slabs"):
            (folder / table).mkdir(parents=True)
            pq.write_table(pa.table({"kernel": ["6.1"]}), folder / table / "00000.parquet")
        files = [{"path": f"{table}/00000.parquet", "rows": 1} for table in ("points", "slabs")]
        (folder / "manifest.json").write_text(json.dumps({"state": "complete", "files": files}))
        return folder

    return {
        "a run of real kernels": _truth,
        "an old run": lambda: land(POINTS, name="old", without=("ns_per_object",)),
        "foreign points": _foreign,
        "foreign Parquet": _bare,
        "a file of the run": lambda: run / "points" / "00000.parquet",
        "nothing there": lambda: tmp_path / "nowhere",
        "a broken manifest": _broken,
        "a run": lambda: run,
    }


@pytest.mark.parametrize(
    ("what", "arguments", "says"),
    [
        ("an old run", ("tables",), "RUN must have column ns_per_object"),
        ("an old run", ("report",), "RUN must have column ns_per_object"),
        ("an old run", ("sql", "from crossover"), "SQL must do without crossover (it needs column ns_per_object"),
        ("foreign points", ("tables",), "whose points lack design"),
        ("a run of real kernels", ("tables",), "+experiment=validate reference="),
        ("a run of real kernels", ("compare", "truth"), "of real kernels); +experiment=validate reference="),
        ("foreign Parquet", ("tables",), "RUN must hold manifest.json"),
        ("a file of the run", ("tables",), "is a file; give the folder it lies in"),
        ("nothing there", ("status",), "which is not there"),
        ("a broken manifest", ("tables",), "manifest.json"),
        ("a run", ("tables", "--format", "html"), "--format must be one of"),
        ("a run", ("tables", "--cpus", "seven"), "--cpus must be of the run's 8"),
        ("a run", ("sql", "select 1", "--format", "jsno"), "did you mean json"),
        ("a run", ("reprot",), "did you mean report?"),
        ("a run", ("tables", "--onyl", "debate"), "--only"),
        ("a run", ("tables", "--width", "wide"), "(got 'wide'); --help"),
    ],
)
def test_a_mistake_is_one_line(mistake, analysis, tmp_path, monkeypatch, what, arguments, says):
    """One line on stderr that says what was found and what to do; exit 2; no file."""
    monkeypatch.chdir(tmp_path)
    command, *more = arguments
    said = analysis(command, mistake[what](), *more)

    assert (said.status, said.out, said.err.count("\n")) == (2, "", 1), said
    assert says in said.err
    assert not (tmp_path / "report.html").exists()


def test_a_refusal_stands_alone_where_an_experiment_is_named(land, analysis):
    """Which run was meant by an experiment's folder is said beside an answer, not before a refusal."""
    folder = land(POINTS).parent
    wrong = analysis("sql", folder, "select desing from points")

    assert wrong.err.startswith("Binder Error")
    assert analysis("sql", folder, "select 1").err == f"run: {folder}/run\n"
