"""Two runs held against each other; how far a run is; which runs there are."""

from __future__ import annotations

import csv
import io
import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from analysis.compare import held_against
from analysis.run import open_run

MANIFEST = {"state": "complete", "experiment": "toy", "config": {"batch": 32, "axes": {}}}


def points(factor: float = 1.0, *, seed: int = 1, prefix: str = "s", **more: object) -> list[dict[str, object]]:
    """Ten replicates of two designs; objcg's time is multiplied by `factor`."""
    draws = np.random.default_rng(seed).normal(100, 1, (2, 10))
    return [
        {"design": design, "scenario_id": f"{prefix}{n}", "replicate": n, "dead_bytes_end": 1000 + n,
         "ns_per_object": float(draws[place, n]) * (factor if design == "objcg" else 1)} | more
        for place, design in enumerate(("page_ref", "objcg"))
        for n in range(10)
    ]  # fmt: skip


@pytest.fixture
def pair(land):
    """Land two runs and return their folders."""

    def _pair(a, b, manifest=MANIFEST):
        return land(a, name="a", manifest=manifest), land(b, name="b", manifest=manifest)

    return _pair


def test_a_run_equals_itself(pair, analysis):
    """Two identical runs: exit 0, and it is said what was paired."""
    said = analysis("compare", *pair(points(), points()))

    assert said.status == 0
    assert "Paired on scenario_id: 20 pairs of 20 and 20 rows." in said.out
    assert "No difference of" in said.out


@pytest.mark.parametrize("factor", [1.03, 0.97])
def test_three_per_cent_are_found_and_named(pair, analysis, factor):
    """A change of 3 % in one column of one design is beyond 1 % in either direction; beyond 5 % it is not."""
    runs = pair(points(), points(factor))
    found, wide = analysis("compare", *runs), analysis("compare", *runs, "--tolerance", "0.05")

    assert (found.status, wide.status) == (1, 0)
    assert "in 1 column: ns_per_object" in found.out
    assert "objcg" in found.out
    assert "page_ref" not in found.out


def test_a_core_that_prices_three_per_cent_more_is_found(smoke, tmp_path, analysis):
    """A real run against itself: exit 0; against what a core lands that prices an object 3 % dearer: 1, by name."""
    table = pq.read_table(smoke / "points")
    at = table.schema.get_field_index("ns_per_object")
    dearer = pa.array(table["ns_per_object"].to_numpy() * 1.03)
    (tmp_path / "points").mkdir()
    pq.write_table(table.set_column(at, table.schema.field(at), dearer), tmp_path / "points" / "00000.parquet")
    files = [{"path": "points/00000.parquet", "rows": table.num_rows}]
    manifest = json.loads((smoke / "manifest.json").read_text("utf-8")) | {"files": files, "core": "another"}
    manifest.pop("digest", None)
    (tmp_path / "manifest.json").write_text(json.dumps(manifest))
    same, other = analysis("compare", smoke, smoke), analysis("compare", smoke, tmp_path)

    assert (same.status, other.status) == (0, 1)
    assert "in 1 column: ns_per_object." in other.out


def test_a_change_that_only_one_pair_shows_counts(pair, analysis):
    """One replicate has no interval, which is said; on the same events its difference counts as it is."""
    said = analysis("compare", *pair(points()[:1], [row | {"ns_per_object": 200.0} for row in points()[:1]]))

    assert said.status == 1
    assert "they have no interval" in said.out


def test_other_events_are_unpaired_and_so_it_is_said(pair, analysis):
    """Runs under other seeds share no scenario: means are compared, and noise of 1 % is no difference of 1 %."""
    same = analysis("compare", *pair(points(), points(seed=2, prefix="t")))
    text = same.out

    assert same.status == 0
    assert "Unpaired, as no scenario is shared" in text


def test_an_unpaired_difference_is_found(pair, analysis):
    """20 % more is told from noise of 1 % without pairs."""
    said = analysis("compare", *pair(points(), points(1.2, seed=2, prefix="t")))

    assert said.status == 1
    assert "ns_per_object" in said.out


def test_kernels_are_compared_on_their_events(pair, analysis):
    """Where each run has one design and batch, these follow the kernel: they are named and not matched on."""
    a = [row | {"kernel": "linux-5.2", "design": "page_ref"} for row in points()[:10]]
    b = [row | {"kernel": "linux-6.1", "design": "objcg", "batch": 64} for row in points()[:10]]
    said = analysis("compare", *pair(a, b))

    assert said.status == 0
    assert "kernel (linux-5.2 and linux-6.1)" in said.out
    assert "design (page_ref and objcg)" in said.out


def test_every_difference_can_be_had(pair, analysis):
    """--all --format csv has a line per cell and measure, with its interval."""
    said = analysis("compare", *pair(points(), points(1.03)), "--all", "--format", "csv")
    lines = {(line["design"], line["measure"]): line for line in csv.DictReader(io.StringIO(said.out))}
    line = lines["objcg", "ns_per_object"]

    assert float(line["difference"]) == pytest.approx(0.03)
    assert float(line["low"]) == pytest.approx(0.03)
    assert float(lines["page_ref", "ns_per_object"]["difference"]) == 0


def test_runs_without_a_common_cell_are_refused(pair, analysis):
    """Grids that share nothing cannot be compared, which is one line."""
    said = analysis("compare", *pair(points(cpus=8) + points(cpus=16), points(cpus=32) + points(cpus=64)))

    assert (said.status, said.out, said.err.count("\n")) == (2, "", 1)


@pytest.mark.slow
def test_false_alarms(land):
    """Of 40 pairs of runs that differ by noise alone, 5 % are told to differ at a tolerance of nothing."""
    alarms = 0
    for seed in range(40):
        a, b = (
            land(points(seed=1000 * side + seed, prefix=f"{side}-"), name=f"{side}-{seed}", manifest=MANIFEST)
            for side in (1, 2)
        )
        alarms += held_against(open_run(str(a)), open_run(str(b)), 0.0).beyond().num_rows > 0
    assert alarms <= 7  # of a binomial with mean 2: 8 or more come once in 1,000


def test_status_is_what_progress_says(land, analysis):
    """progress.json is what a batch job reads; without one the manifest and the files say what they can."""
    run = land(points(), manifest=MANIFEST)
    without = json.loads(analysis("status", run, "--format", "json").out)
    progress = {"state": "running", "points_done": 3, "points_total": 9, "rate_per_s": 1.5, "eta_s": 4.0,
                "compiling": False, "tasks_running": 2, "updated_at": "2026-11-26T10:00:00+00:00"}  # fmt: skip
    (run / "progress.json").write_text(json.dumps(progress))

    assert without[0] | {"state": "complete", "points_done": 20} == without[0]
    assert json.loads(analysis("status", run, "--format", "json").out) == [progress]


def test_runs_lists_every_run(land, analysis):
    """A line per run, whatever its state; a folder without runs is one line on stderr."""
    run = land(points(), name="a", manifest=MANIFEST)
    land(points(), name="b", manifest=MANIFEST | {"state": "stopped", "positions": 40})
    (run.parent / "c").mkdir()
    (run.parent / "c" / "manifest.json").write_text("{")
    rows = json.loads(analysis("runs", run.parent.parent, "--format", "json").out)
    none = analysis("runs", run.parent / "nowhere")

    assert {(row["run"].rpartition("/")[2], row["state"]) for row in rows} == {
        ("a", "complete"), ("b", "stopped"), ("c", "damaged")
    }  # fmt: skip
    assert (none.status, none.err.count("\n")) == (2, 1)


def test_bare_says_what_one_can_do(analysis):
    """Without a command it lists them; --version is ours."""
    bare, version = analysis(), analysis("--version")

    assert bare.status == version.status == 0
    assert all(name in bare.out for name in ("tables", "report", "sql", "compare", "validate", "status", "runs"))
    assert version.out.startswith("memcg-sweep ")
