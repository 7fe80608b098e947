"""What users of Hydra write with -m is one plan of ours."""

import pytest

from sweep.config.multirun import as_axes
from sweep.errors import InputError


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (["-m", "cpus=1,2,4", "batch=32,64"], ["axes.cpus=[1,2,4]", "axes.batch=[32,64]"]),
        (["cpus=8,64", "--multirun", "cluster=inline"], ["axes.cpus=[8,64]", "cluster=inline"]),
        (["-m", "kernel=linux-4.19,linux-6.1"], ["axes.kernel=[linux-4.19,linux-6.1]"]),
        (["-m", "cpus=range(1,4)"], ["axes.cpus=[1,2,3]"]),
        (["-m", "design=null,objcg", "axes.cpus=[1,2]"], ["axes.design=[null,objcg]", "axes.cpus=[1,2]"]),
        (["-m", "kernel=5.10,5.4"], ["axes.kernel=[5.10,5.4]"]),
        (["cpus=1,2"], ["cpus=1,2"]),
    ],
)
def test_sweeps_become_axes(line, expected):
    """Each key with several values is an axis, in the order of the line; nothing else changes."""
    assert as_axes(line) == expected


def test_what_a_run_has_one_of_is_refused():
    """Two experiments are two commands."""
    with pytest.raises(InputError, match="experiment must be one option"):
        as_axes(["-m", "+experiment=smoke,churn"])
