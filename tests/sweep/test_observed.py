"""Reading what was seen of a host: any CSV with time and a count."""

import numpy as np
import pytest

from sweep.config.observed import read_observed
from sweep.errors import InputError


@pytest.fixture
def csv(tmp_path):
    """Return a function that writes a CSV and gives its path."""

    def write(text):
        path = tmp_path / "host.csv"
        path.write_text(text)
        return str(path)

    return write


def test_two_columns_are_enough(csv):
    """time and nr_dying; times count from the first row."""
    found = read_observed(csv("time,nr_dying\n100,3\n160,5\n"))

    assert found.times_s.tolist() == [0, 60]
    assert found.dying.tolist() == [3, 5]
    assert found.kernel is None


def test_iso_times_and_other_columns(csv):
    """ISO 8601 with a zone; a kernel; a column that is empty now and then; a BOM of a spreadsheet."""
    found = read_observed(
        csv(
            "\ufefftime,nr_dying,kernel,percpu_bytes\n2026-03-01T00:00:00Z,3,5.4.0-150-generic,\n"
            "2026-03-01T01:00:00+00:00,4,5.4.0-150-generic,9\n"
        )
    )

    assert found.times_s.tolist() == [0, 3600]
    assert found.kernel == "5.4.0-150-generic"
    assert np.isnan(found.columns["percpu_bytes"][0])
    assert found.last("percpu_bytes") == 9


@pytest.mark.parametrize(
    ("header", "row", "dying"),
    [
        ("time,num_cgroups,directories", "0,68680,240", 68440),
        ("time,num_cgroups", "0,68680", 68680),
        ("time,nr_dying,nr_dying_memory,num_cgroups", "0,9,7,100", 7),
        ("time,nr_dying,num_cgroups,directories", "0,,100,40", 60),
    ],
)
def test_what_is_dying_comes_from_the_best_column(csv, header, row, dying):
    """The memory controller's count, else that of cgroups, else all less directories, else all."""
    assert read_observed(csv(f"{header}\n{row}\n")).dying.tolist() == [dying]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("t,nr_dying\n0,1\n", "must have columns time and nr_dying or num_cgroups (got t, nr_dying"),
        ("", "got no row"),
        ("time,nr_dying\n0,1\n0,2\n", "must have times that grow from row to row (got '0' on line 3"),
        ("time,nr_dying\n0,1\n,2\n", "must have times that grow from row to row (got '' on line 3"),
        ("time,nr_dying\nyesterday,1\n", "must have seconds or ISO 8601 in column time (got 'yesterday' on line 2"),
        ("time,nr_dying\n0,many\n", "must have numbers in column nr_dying (got 'many' on line 2"),
        ("time,nr_dying\n0,-1\n", "must have counts of 0 or more in nr_dying (got -1"),
        ("time,nr_dying\n0,\n", "must count dying cgroups in some row"),
    ],
)
def test_what_cannot_be_used_is_one_line_with_column_and_line(csv, text, says):
    """Each mistake is named by its place in the file and the user's own value."""
    with pytest.raises(InputError) as error:
        read_observed(csv(text))

    assert says in str(error.value)
    assert "\n" not in str(error.value)


def test_a_file_that_is_not_there_is_named():
    """One line with the path and the tool that writes such files."""
    with pytest.raises(InputError, match=r"'no\.csv'.*observe\.py"):
        read_observed("no.csv")
