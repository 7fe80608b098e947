"""The run that `make bench` leaves, held against another."""

from analysis.compare import held_against, told
from analysis.run import open_run
from tests.bench.conftest import keep
from tests.support.contest import contest


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
