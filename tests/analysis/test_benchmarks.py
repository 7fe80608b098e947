"""The run that `make bench` leaves, held against another."""

import pyarrow as pa

from analysis.compare import held_against, told
from analysis.run import open_run
from tests.bench.conftest import keep
from tests.support.contest import contest
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
