"""Calls of charge-path functions, counted for a program pinned to one CPU."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.validation.calls import Calls, count_calls
from core.validation.figures import call_figures
from tests.support.points import default_point


def at(profile, cpus, depth):
    return default_point(kernel=profile, cpus=cpus, depth=depth)


PHASES = {"create": None, "unlink": None, "pipe3": None}


def test_one_file_charges_three_slabs_in_one_walk(profile_of):
    """Hand-worked on 5.2.1: slabs of dentry, inode and file take 1 + 4 + 1 of the 32 pages of one walk; all stay."""
    counted = count_calls(at(profile_of("tiny-5.2.1"), 2, 1), 1, PHASES)

    assert counted["create"] == Calls(1, 3, 1, 0, 0, 0)
    assert counted["unlink"] == Calls(1, 0, 0, 0, 0, 0)


def test_pipes_reuse_what_they_free_at_once(profile_of):
    """Hand-worked on 5.2.1: 3 pipes need new slabs of kmalloc-192, kmalloc-1k and inode_cache, 1 + 4 + 2 pages."""
    counted = count_calls(at(profile_of("tiny-5.2.1"), 2, 1), 1, PHASES)

    assert counted["pipe3"] == Calls(3, 3, 0, 0, 0, 0)


def test_phases_are_run_in_the_programs_order(profile_of):
    """A table may list them in any order: 6.12 charges nothing for pipes once the files are unlinked."""
    point = at(profile_of("linux-6.12"), 1, 1)
    listed = count_calls(point, 2000, {"create": 400.0, "pipe20000": 300.0, "unlink": 200.0})

    assert listed == count_calls(point, 2000, {"create": 400.0, "unlink": 200.0, "pipe20000": 300.0})
    assert list(listed) == ["create", "unlink", "pipe20000"]
    assert listed["pipe20000"].charges == 0


def test_a_figure_is_the_mean_over_the_runs_at_their_own_paces(profile_of):
    """Each boot of a reference has its pace, and grace periods that fall in a way of their own."""
    point = at(profile_of("linux-6.1"), 1, 1)
    runs = [{"pipe2000": us} for us in (121.0, 254.0, 344.0)]
    each = [count_calls(point, 1, run, draw)["pipe2000"].charges / 2000 for draw, run in enumerate(runs)]

    (charges,) = (found for found in call_figures(point, runs, kernel="6.1", files=1) if found.figure == "charges")
    assert charges.model == pytest.approx(sum(each) / 3)
    assert len(set(each)) == 3


@pytest.mark.parametrize("pipe_us", [121.0, 240.0, 344.0])
def test_grace_periods_do_not_resonate_with_slabs(profile_of, pipe_us):
    """A guest of 6.1 charged 12,728 pages for 20,000 pipes; at any pace the model is within 2 %, as kernels are."""
    paces = {"create": 190.0, "unlink": 96.0, "pipe20000": pipe_us}
    found = count_calls(at(profile_of("linux-6.1"), 1, 1), 2000, paces)

    assert found["pipe20000"].charges == pytest.approx(12_728, rel=0.02)


def test_objcg_charges_bytes(profile_of):
    """Hand-worked on 5.9.1: 200 + 640 + 264 bytes of a file and its slots come out of one page."""
    counted = count_calls(at(profile_of("tiny-5.9.1"), 2, 1), 1, {"create": None})

    assert counted["create"] == Calls(1, 1, 1, 0, 0, 0)


def test_an_unknown_phase_is_one_line(profile_of):
    """A phase that the program does not have is refused by name."""
    with pytest.raises(ValueError, match=r"phase must be create, unlink or pipe and a number \(got 'fork'\)"):
        count_calls(at(profile_of("tiny-5.2.1"), 2, 1), 1, {"fork": None})


@settings(max_examples=20)
@given(
    kernel=st.sampled_from(("tiny-5.2.1", "tiny-5.8.1", "tiny-5.9.1")),
    cpus=st.integers(1, 64),
    depth=st.integers(1, 9),
    files=st.integers(1, 1500),
)
def test_every_uncharge_walks_each_level_until_5_10(profile_of, kernel, cpus, depth, files):
    """Where uncharges are not batched, each walks the counters, of which there are depth + 1; charges walk less."""
    for calls in count_calls(at(profile_of(kernel), cpus, depth), files, PHASES | {"pipe1000": None}).values():
        assert calls.uncharge_walks == calls.uncharges
        assert calls.uncharge_atomics == (depth + 1) * calls.uncharges
        assert calls.charge_walks <= calls.charges


def test_a_closed_file_is_freed_at_once_since_6_7(profile_of):
    """From 6.7 on pipes take their files again from slab and byte stock: none charges a page, once warm."""
    counted = count_calls(at(profile_of("linux-6.19"), 1, 1), 1, {"create": None, "pipe20000": None})

    assert counted["pipe20000"].charges <= 1
    assert count_calls(at(profile_of("linux-6.1"), 1, 1), 1, {"pipe20000": None})["pipe20000"].charges > 12_000


def test_the_pace_decides_what_a_grace_period_frees(profile_of):
    """Slower operations leave fewer files to be freed when the phase ends, so more pages were uncharged by then."""
    fast, slow = (count_calls(at(profile_of("linux-6.1"), 1, 1), 2000, {"create": us})["create"] for us in (10, 250))

    assert fast.uncharges < slow.uncharges
    assert abs(slow.charges - fast.charges) <= 1
