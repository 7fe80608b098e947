"""The run that `make bench` leaves, held against another."""

import subprocess
import sys
import time

import pyarrow as pa
import pytest

from analysis.compare import held_against, told
from analysis.run import open_run
from tests.bench.conftest import keep, said_of_others
from tests.support.contest import busy_s, contest, cpu_s
from tests.support.copies import copy_of


def a_run(folder, seconds):
    """Keep a contest of two, whose rounds take such seconds."""
    first, second = (iter(each) for each in seconds)
    how = {"rounds": 3, "unit": "s"}
    return open_run(str(keep(contest("A day", {"this": first.__next__, "that": second.__next__}, **how), folder)))


def test_a_slower_contestant_is_found(tmp_path):
    """Of two runs of the benchmarks those figures stand out that are more than chance apart, by their rounds."""
    before = a_run(tmp_path / "before", ((1.0, 1.01, 0.99), (2.0, 2.5, 1.5)))
    after = a_run(tmp_path / "after", ((3.0, 3.01, 2.99), (2.1, 2.4, 1.6)))
    found = held_against(before, after, tolerance=0.1)

    assert [(row["design"], row["measure"]) for row in found.beyond().to_pylist()] == [("this", "figure")]
    assert any("Unpaired" in line for line in told(found, 0.1))


def test_a_copy_looks_like_its_run():
    """In a copy names are new, zeros and what was equal within a replicate stay so, and parameters are kept."""
    source = pa.table(
        {
            "design": ["a", "b", "a", "b"],
            "replicate": [0, 0, 1, 1],
            "scenario_id": ["0123456789", "0123456789", "aaaaaaaaaa", "aaaaaaaaaa"],
            "lost_bytes_end": [700, 700, 0, 300],
            "ns_per_object": [10.0, 10.0, 10.0, 11.0],
        }
    )
    first, second = copy_of(source, 0).to_pydict(), copy_of(source, 1).to_pydict()

    assert first["design"] == source["design"].to_pylist()
    assert (first["replicate"], second["replicate"]) == ([0, 0, 1, 1], [2, 2, 3, 3])
    for found in (first, second):
        names = found["scenario_id"]
        assert names[0] == names[1] != names[2] == names[3]
        assert {len(name) for name in names} == {10}
        assert found["lost_bytes_end"][0] == found["lost_bytes_end"][1] != 700
        assert found["lost_bytes_end"][2] == 0
        assert found["ns_per_object"][0] == found["ns_per_object"][1] != found["ns_per_object"][2]
    assert not set(first["scenario_id"]) & {*second["scenario_id"], *source["scenario_id"].to_pylist()}


SPINNING = """
import sys, time
print(flush=True)
sys.stdin.readline()
began = time.process_time()
while time.process_time() - began < 1.0:
    pass
print(flush=True)
sys.stdin.readline()
"""


def spun():
    """Keep one core for a second of its time."""
    began = cpu_s()
    while cpu_s() - began < 1.0:
        pass
    return 1.0


def test_a_contest_tells_its_own_work_from_that_of_others():
    """A second of a process that nobody waited for is others'; a second of a contestant is not."""
    with subprocess.Popen([sys.executable, "-c", SPINNING], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        other.stdout.readline()  # it is up
        used = {}

        def beside():
            began = time.perf_counter()
            other.stdin.write(b"\n")
            other.stdin.flush()
            other.stdout.readline()
            used["s"] = time.perf_counter() - began
            return 1.0

        [row] = contest("Waiting for another", {"it": beside}, rounds=1)
        other.stdin.write(b"\n")
        other.stdin.flush()
    before = busy_s()
    [own] = contest("Working", {"it": spun}, rounds=1)

    assert row.others * used["s"] > 0.9
    assert busy_s() - before > 0.9
    assert own.others < (busy_s() - before) - 0.8


def test_busy_time_is_all_but_idle_and_waiting_time():
    """Hand-worked, in ticks of a hundredth of a second: 100 + 20 + 30 + 4 + 5 + 6, without 5000 and 700."""
    line = "cpu  100 20 30 5000 700 4 5 6 90 0\ncpu0 1 2 3\n"

    assert busy_s(line) == pytest.approx(1.65)


def test_a_page_says_when_others_were_busy():
    """A contest whose processes cannot be told from others says nothing; a quarter of a core is busy."""
    [row] = contest("Nothing", {"it": lambda: 1.0}, rounds=1, waited_for=False)

    assert row.others is None
    assert said_of_others([row]) == ""
    assert "busy" not in said_of_others([row, row._replace(others=0.2)])
    assert "0.30 cores" in said_of_others([row._replace(others=0.3)])
    assert "the machine was busy" in said_of_others([row, row._replace(others=0.3)])
