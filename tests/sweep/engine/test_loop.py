"""The loop, the store and the compaction, with work so trivial that only they can be wrong."""

import json
import signal
import threading
import time
from dataclasses import dataclass
from itertools import cycle, pairwise
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sweep.engine import compact as compacting
from sweep.engine import lock, progress, signals
from sweep.engine.compact import compact, run_digest
from sweep.engine.executors import Inline
from sweep.engine.loop import Outcome, Policy, Task, drive, run_task
from sweep.engine.progress import Progress
from sweep.engine.ranges import Ranges, missing
from sweep.engine.store import Store, TornPartError
from sweep.errors import FAILED, InputError
from sweep.folder import PARTS, disjoint
from sweep.run import run as run_whole
from sweep.run import show_plan
from sweep.version import core_digest
from tests.support.toys import Squares

POLICY = Policy(task_s=0.01, in_flight=2, retries=1, max_failed=100)


def run(job, folder, todo=None, policy=POLICY):
    """Drive a job in this process; return what became of it."""
    executor = Inline(job, str(folder), core_digest())
    todo = todo or Ranges([(0, job.length)])
    outcome = Outcome()
    with Progress(job.length, 0) as progress:
        drive(job, todo, executor, policy, progress, outcome)
    return outcome


def digests(job, folder):
    """Compact a run; return the digest of each table."""
    store = Store(str(folder))
    compact(store, job.tables, job.grain, store.parts("points"))
    return {table: run_digest(store, table) for table in job.tables}


@pytest.fixture(scope="module")
def expected(tmp_path_factory):
    """The digests of 100 squares done in one task."""
    folder = tmp_path_factory.mktemp("whole")
    job = Squares(100)
    run_task(job, str(folder), core_digest(), Task(0, 100))
    return digests(job, folder)


@settings(max_examples=25)
@given(cuts=st.sets(st.integers(1, 99), max_size=30))
def test_rows_do_not_show_the_cuts(cuts, tmp_path_factory, expected):
    """However a plan is cut into tasks, the files of the run hold the same rows in the same order."""
    folder, job = tmp_path_factory.mktemp("cut"), Squares(100)
    ends = [0, *sorted(cuts), 100]
    for start, stop in pairwise(ends):
        run_task(job, str(folder), core_digest(), Task(start, stop))

    assert digests(job, folder) == expected


def test_a_bad_point_fails_alone(tmp_path):
    """Points that raise are found by halving, and every other point lands."""
    job = Squares(100, poisoned=(7, 63))
    outcome = run(job, tmp_path)

    assert outcome.failed == {7: "ZeroDivisionError: position 7", 63: "ZeroDivisionError: position 63"}
    assert outcome.rows == 98
    assert sum(stop - start for start, stop in Store(str(tmp_path)).parts("points")) == 98


def test_a_plan_whose_point_fails_has_no_estimate(capfd):
    """A failing point is said in one line by `plan=only`, as it would be by a run."""
    status = show_plan(Squares(100, poisoned=tuple(range(100))), {"kind": "inline", "cores": None, "task_s": 4.0})
    said = capfd.readouterr()

    assert status == FAILED
    assert said.out == ""
    assert said.err.startswith("no estimate, as a point failed, as it would in a run: ZeroDivisionError: position ")
    assert said.err.count("\n") == 1


def test_too_many_bad_points_end_the_run(tmp_path):
    """A job that is wrong everywhere stops after `max_failed` points, not after all."""
    outcome = run(Squares(1000, poisoned=tuple(range(1000))), tmp_path, policy=Policy(0.01, 2, 1, max_failed=5))

    assert len(outcome.failed) == 6
    assert "cluster.max_failed" in outcome.fatal


def test_another_core_is_refused(tmp_path):
    """A worker whose core differs from the driver's does nothing, and the run ends."""
    end = run_task(Squares(10), str(tmp_path), "0123456789ab", Task(0, 10))

    assert end.why == "fatal"
    assert "another core" in end.reason
    assert not list(tmp_path.iterdir())


def test_an_unwritable_folder_ends_the_run(tmp_path):
    """What cannot be landed is said once, not blamed on the points one by one."""
    (tmp_path / PARTS).write_text("in the way")
    outcome = run(Squares(100), tmp_path)

    assert "cannot write to" in outcome.fatal
    assert not outcome.failed


def test_a_jumping_clock_changes_nothing(tmp_path, monkeypatch, expected):
    """While the wall clock jumps by a century, forth and back, rows, durations and their order are as ever."""
    jumps = cycle([0.0, 4e9, -4e9])
    monkeypatch.setattr(time, "time", lambda: next(jumps))
    job = Squares(100)
    outcome = run(job, tmp_path)

    assert 0 < outcome.simulation_s < 60
    assert digests(job, tmp_path) == expected


def signal_when_landed(store, number):
    """Send a signal as soon as a part is there: a busy machine may take any time until then."""
    deadline = time.monotonic() + 60
    while not list(store.parts("points")) and time.monotonic() < deadline:
        time.sleep(0.01)
    signal.raise_signal(number)


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_stops_cleanly_and_resumes(number, status, tmp_path, own_signals):
    """A signal ends the loop at once; what was landed stays, and the rest is done later, to the same rows."""
    job = Squares(400, seconds=0.002)
    parts = Store(str(tmp_path / "stopped"))
    threading.Thread(target=signal_when_landed, args=(parts, number), daemon=True).start()
    with pytest.raises(signals.Stopped) as stopped:
        run(job, tmp_path / "stopped")
    own_signals()  # as the process that resumes would
    done = parts.parts("points")

    assert stopped.value.status == status
    assert 0 < sum(stop - start for start, stop in done) < 400

    run(job, tmp_path / "stopped", missing(done, 400))
    run(job, tmp_path / "whole")
    assert digests(job, tmp_path / "stopped") == digests(job, tmp_path / "whole")


def test_a_torn_part_is_done_again(tmp_path, expected):
    """A part cut short is no part; a part that rotted inside is found when it is read."""
    job = Squares(100)
    for start in range(0, 100, 20):
        run_task(job, str(tmp_path), core_digest(), Task(start, start + 20))
    short, rotten = sorted((tmp_path / PARTS / "points").iterdir())[1:3]
    short.write_bytes(short.read_bytes()[:-30])
    content = bytearray(rotten.read_bytes())
    content[60] ^= 0xFF
    rotten.write_bytes(content)
    store = Store(str(tmp_path))
    with pytest.raises(TornPartError) as torn:
        compact(store, job.tables, job.grain, store.parts("points"))
    assert torn.value.stretch == (20, 40)

    store.tidy(job.tables)
    assert [*store.parts("points")] == [*store.parts("series")] == [(0, 20), (60, 80), (80, 100)]
    run(job, tmp_path, missing(store.parts("points"), 100))
    assert digests(job, tmp_path) == expected


def test_a_straggler_changes_nothing(tmp_path, expected):
    """A worker that outlived its driver may commit what the next driver cut otherwise: its part is left aside."""
    job = Squares(100)
    for start, stop in ((0, 50), (50, 100), (30, 60)):
        run_task(job, str(tmp_path), core_digest(), Task(start, stop))

    assert digests(job, tmp_path) == expected


@dataclass(frozen=True)
class Haunted(Squares):
    """Squares that somebody else computes, too: a task of an earlier driver lands while this driver's are under way."""

    stray: Task | None = None
    folder: str = ""

    def work(self, start, stop):
        if self.stray is not None and stop == self.length:
            (store,) = Path(self.folder).glob("toys/*")
            run_task(Squares(self.length), str(store), core_digest(), self.stray)
        return super().work(start, stop)


@pytest.mark.parametrize("poisoned", [(), (700,)])
def test_a_straggler_leaves_no_gap(poisoned, tmp_path, capfd):
    """Where an old part takes the place of new ones that reach further, what is missing then is done again."""
    cluster = {"kind": "inline", "task_s": 1e-3, "in_flight": 2, "retries": 1, "max_failed": 100}
    names = {group: {"name": "none"} for group in ("kernel", "workload", "host")}
    found = []
    for stray in (None, Task(0, 150)):
        folder = str(tmp_path / str(stray))
        job = Haunted(1000, poisoned=poisoned, stray=stray, folder=folder)
        status = run_whole(job, {"out": folder, "cluster": cluster} | names, "toys")
        store = Store(capfd.readouterr().out.splitlines()[-1])
        found.append({table: run_digest(store, table) for table in job.tables})

        assert status == (FAILED if poisoned else 0)
        assert store.manifest()["rows"]["points"] == 1000 - len(poisoned)
    assert found[0] == found[1]


def test_a_write_that_fails_leaves_nothing(tmp_path):
    """A file is seen whole or not at all."""
    store = Store(str(tmp_path))
    with pytest.raises(RuntimeError), store.stream("points/00000.parquet") as sink:
        sink.write(b"half")
        raise RuntimeError("disk full")

    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_files_are_the_same_bytes(tmp_path):
    """Two runs of one plan leave files that are equal byte for byte."""
    contents = []
    for size in (7, 100):
        folder, job = tmp_path / str(size), Squares(100)
        for start in range(0, 100, size):
            run_task(job, str(folder), core_digest(), Task(start, min(start + size, 100)))
        digests(job, folder)
        contents.append({path.name: path.read_bytes() for path in sorted(folder.glob("*/0*.parquet"))})

    assert contents[0] == contents[1]


def test_the_digest_sees_every_value(tmp_path):
    """A digest changes with a value, a name, a type or the order, and with nothing else."""
    store = Store(str(tmp_path))
    tables = [
        pa.table({"a": [1, 2, 3]}),
        pa.table({"a": [1, 2, 4]}),
        pa.table({"b": [1, 2, 3]}),
        pa.table({"a": [1.0, 2.0, 3.0]}),
        pa.table({"a": [2, 1, 3]}),
        pa.concat_tables([pa.table({"a": [1]}), pa.table({"a": [2, 3]})]),
    ]
    for number, table in enumerate(tables):
        store.write_part(str(number), 0, 3, table)
        Path(tmp_path / str(number)).mkdir()
        next((tmp_path / PARTS / str(number)).iterdir()).rename(tmp_path / str(number) / "0.parquet")
    found = [run_digest(store, str(number)) for number in range(len(tables))]

    assert found[5] == found[0]
    assert len(set(found)) == 5


def test_the_second_driver_is_told(tmp_path):
    """While one driver holds a run folder, another is refused in one line that says who has it."""
    store = Store(str(tmp_path))
    with lock.held(store), pytest.raises(InputError, match="held by pid"), lock.held(store):
        pass
    with lock.held(store):
        pass


@given(st.sets(st.tuples(st.integers(0, 50), st.integers(1, 20))))
def test_what_is_missing_is_missing(stretches):
    """What is done and what is left to do cover a plan, and never overlap."""
    done = disjoint((start, start + length) for start, length in stretches)
    todo = missing(done, 100)
    left = set()
    while todo:
        first, last = todo.ends()
        left |= set(range(*(todo.take_up(first, first + 3) if first % 2 else todo.take_down(last, last - 3))))

    covered = {position for stretch in done for position in range(*stretch)}
    assert left | covered == set(range(100))
    assert not left & covered


@given(
    st.sets(st.tuples(st.integers(0, 50), st.integers(1, 20))),
    st.lists(st.tuples(st.integers(0, 99), st.integers(1, 30), st.booleans()), max_size=12),
)
def test_what_is_taken_is_no_longer_there(stretches, asked):
    """Wherever a stretch is taken, it is in one piece, it was there, and nothing else is gone."""
    todo = missing(disjoint((start, start + length) for start, length in stretches), 100)
    left = {position for stretch in todo.stretches() for position in range(*stretch)}
    for start, length, upwards in asked:
        there = sorted(left & set(range(start, start + length)))
        ends = todo.ends_within(start, length)
        assert ends == ((there[0], there[-1]) if there else None)
        if ends:
            first, last = ends
            taken = range(*(todo.take_up(first, first + 7) if upwards else todo.take_down(last, last - 6)))
            assert 1 <= len(taken) <= 7
            assert taken[0] == first if upwards else taken[-1] == last
            assert set(taken) <= left
            left -= set(taken)
        assert len(todo) == len(left)
        assert {position for stretch in todo.stretches() for position in range(*stretch)} == left


def test_progress_is_written_for_machines(tmp_path, monkeypatch):
    """progress.json says state, how many, how fast and how long, from a third on within a factor of two."""
    monkeypatch.setattr(progress, "LINE_EVERY_S", 0.02)
    kept, job, outcome = [], Squares(300, seconds=0.006), Outcome()
    executor = Inline(job, str(tmp_path), core_digest())
    began = time.monotonic()
    with Progress(300, 0, lambda text: kept.append((time.monotonic() - began, json.loads(text))), True) as shown:
        drive(job, Ranges([(0, 300)]), executor, Policy(0.1, 2, 1, 100), shown, outcome)
    took = time.monotonic() - began

    assert (kept[0][1]["state"], kept[0][1]["compiling"], kept[0][1]["rate_per_s"]) == ("running", True, None)
    assert (kept[-1][1]["state"], kept[-1][1]["points_done"], kept[-1][1]["eta_s"]) == ("landed", 300, None)
    late = [(at, said["eta_s"]) for at, said in kept if 100 <= said["points_done"] <= 250]
    assert late
    assert all((took - at) / 2 < left < (took - at) * 2 for at, left in late)


def test_the_time_left_is_counted_down_while_no_task_ends(monkeypatch):
    """Ten seconds later ten seconds less are left, unless what ended says otherwise; never less than none."""
    clock, kept = [0.0], []
    monkeypatch.setattr(progress.time, "monotonic", lambda: clock[0])

    def shown_after(seconds, left_s):
        clock[0] += seconds
        shown.show(1, lambda: left_s)
        return json.loads(kept[-1])["eta_s"]

    with Progress(300, 0, kept.append) as shown:
        assert shown_after(10, 100.0) is None  # none has ended
        shown.advance(3)
        found = [shown_after(10, 100.0), shown_after(10, 100.0), shown_after(40, 70.0), shown_after(90, 70.0)]

    assert found == [100.0, 90.0, 70.0, 0.0]


def test_files_do_not_depend_on_how_a_plan_was_cut(tmp_path, monkeypatch):
    """Many files, of parts that end anywhere: in rows, numbers and bytes those of one part; a torn part is named."""
    monkeypatch.setattr(compacting, "ROWS_PER_FILE", 20)
    monkeypatch.setattr(compacting, "ROWS_PER_GROUP", 8)
    found, job = [], Squares(95)
    for name, cuts in (("whole", (0, 95)), ("cut", (0, 3, 20, 41, 59, 60, 95)), ("apart", (0, 20, 40, 60, 80, 95))):
        store = Store(str(tmp_path / name))
        for start, stop in pairwise(cuts):
            run_task(job, store.root, core_digest(), Task(start, stop))
        found.append(compact(store, job.tables, job.grain, store.parts("points")))
        rows = [store.read(file["path"]) for file in found[-1] if file["path"].startswith("points/")]
        assert pa.concat_tables(rows)["position"].to_pylist() == list(range(95))
        assert [len(each) for each in rows] == [20, 20, 20, 20, 15]

    assert found[0] == found[1] == found[2]
    groups = [store.read(file["path"])["group"].to_pylist() for file in found[0] if file["path"].startswith("series/")]
    assert groups == [[n] * 3 + [n + 1] * 3 for n in range(0, 10, 2)]
