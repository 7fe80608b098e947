"""The reference's program, replayed."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.validation.tmpfs import replay
from core.workload import TmpfsProgram

PROGRAM = TmpfsProgram(
    cgroups=3,
    files=1,
    keep=1,
    warm_ms=50,
    hold="files",
    data_kib=0,
    pin="none",
    in_flight=None,
    counted_files=1,
    counted_pipes=1,
    file_us=None,
    pipe_us=None,
)


def left(profile, cpus=1, draw=0, **program):
    return replay(profile, replace(PROGRAM, **program), cpus, draw)


def grown(profile, cache, **program):
    """KiB of a cache beyond what the same program takes when it keeps nothing."""
    return left(profile, **program).slab_kib[cache] - left(profile, **program | {"keep": 0}).slab_kib[cache]


def test_page_ref_keeps_memcgs_and_all_their_caches(profile_of):
    """Hand-worked: on 5.2.1 each of 3 memcgs dies with 3 caches; its dentry holds a page, its inode a slab of 4."""
    profile = profile_of("tiny-5.2.1")

    found = left(profile)

    assert (found.dying_memcgs, found.memcg_kmem_caches) == (3, 9)
    assert grown(profile, "dentry") == 3 * 4
    assert grown(profile, "shmem_inode_cache") == 3 * 16


def test_reparenting_frees_memcgs_and_the_empty_cache(profile_of):
    """Hand-worked: on 5.3.1 no memcg is left, and of 3 caches that of files, which are closed, is gone too."""
    profile = profile_of("tiny-5.3.1")

    found = left(profile)

    assert (found.dying_memcgs, found.memcg_kmem_caches) == (0, 6)
    assert grown(profile, "dentry") == 3 * 4


def test_objcg_shares_slabs(profile_of):
    """Hand-worked: on 5.9.1 no memcg and no cache is left, and 20 kept inodes need at most one slab more than none."""
    profile = profile_of("tiny-5.9.1")

    found = left(profile, cgroups=20)

    assert (found.dying_memcgs, found.memcg_kmem_caches) == (0, 0)
    assert grown(profile, "shmem_inode_cache", cgroups=20) in (0, 16)


def test_without_a_pause_nothing_is_charged(profile_of):
    """Hand-worked: with warm_ms=0 no memcg has caches on 5.2.1 yet, so kept files are the root's and pin nothing."""
    profile = profile_of("tiny-5.2.1")

    found = left(profile, warm_ms=0)

    assert (found.dying_memcgs, found.memcg_kmem_caches) == (0, 0)
    assert grown(profile, "dentry", warm_ms=0) in (0, 4)


def test_percpu_pages_come_by_threes(profile_of):
    """Hand-worked: 200 memcgs of 2016 B per CPU fill 98 to 99 pages, of which 96 or 99 are added, on each CPU."""
    profile = profile_of("tiny-5.2.1")

    pages = {left(profile, cpus=2, draw=draw, cgroups=200).percpu_kib / 2 / 4 for draw in range(4)}

    assert pages <= {96, 99}


def test_kept_files_fill_slabs(profile_of):
    """Hand-worked: 50 dentries of a memcg take 3 pages of 21, 50 inodes take 2 slabs of 25."""
    profile = profile_of("tiny-5.2.1")

    assert grown(profile, "dentry", files=60, keep=50) == 3 * 3 * 4
    assert grown(profile, "shmem_inode_cache", files=60, keep=50) == 3 * 2 * 16


@pytest.mark.parametrize(
    ("kernel", "cpus", "golden"),
    [("tiny-5.2.1", 1, (8404, 396)), ("tiny-5.2.1", 8, (8996, 3168)), ("tiny-5.3.1", 8, (7060, 96))],
)
def test_slabs_and_percpu_are_golden(profile_of, kernel, cpus, golden):
    """Golden: whole KiB of slabs and percpu memory of the reference's own workload, first draw."""
    found = left(profile_of(kernel), cpus=cpus, cgroups=200, files=4)

    assert (sum(found.slab_kib.values()), found.percpu_kib) == golden


@settings(max_examples=25)
@given(
    cpus=st.integers(1, 16),
    cgroups=st.integers(1, 6),
    files=st.integers(0, 30),
    keep=st.integers(0, 30),
    warm_ms=st.sampled_from((0, 4, 5, 100)),
    kernel=st.sampled_from(("tiny-5.2.1", "tiny-5.8.1", "tiny-5.9.1")),
)
def test_what_is_pinned_follows_from_the_design(profile_of, kernel, cpus, keep, warm_ms, cgroups, files):
    """Memcgs die under page_ref, and caches dangle under reparent_percpu, if and only if charged files are kept."""
    found = left(profile_of(kernel), cpus=cpus, cgroups=cgroups, files=files, keep=keep, warm_ms=warm_ms)

    pinned = cgroups * (min(keep, files) > 0) * (warm_ms >= 5)
    dying, caches = {"tiny-5.2.1": (1, 3), "tiny-5.8.1": (0, 2), "tiny-5.9.1": (0, 0)}[kernel]
    assert (found.dying_memcgs, found.memcg_kmem_caches) == (dying * pinned, caches * pinned)


def test_a_draw_is_a_draw(profile_of):
    """The same draw leaves the same, to the byte; another one wanders elsewhere."""
    profile = profile_of("tiny-5.2.1")

    assert left(profile, cpus=8, draw=1) == left(profile, cpus=8, draw=1)
    assert left(profile, cpus=8, draw=1) != left(profile, cpus=8, draw=2)


def test_cached_pages_hold_the_memcg_until_folios_are_reparented(profile_of):
    """Booted: 4 KiB in a kept file leave a dying memcg each on 5.8.1, 5.9.1 and 6.1, and none on 7.3."""
    for kernel, dying in (("tiny-5.8.1", 3), ("tiny-5.9.1", 3), ("linux-6.1", 3), ("linux-7.3", 0)):
        assert left(profile_of(kernel), data_kib=4).dying_memcgs == dying
        assert left(profile_of(kernel), data_kib=4, keep=0).dying_memcgs == 0


def test_a_socket_holds_the_memcg_and_a_pipe_does_not(profile_of):
    """Booted: sockets held from outside leave a dying memcg each on 6.1 and 7.3, pipes and directories none."""
    for kernel in ("linux-6.1", "linux-7.3"):
        assert left(profile_of(kernel), hold="sockets").dying_memcgs == 3
        assert left(profile_of(kernel), hold="pipes").dying_memcgs == 0
        assert left(profile_of(kernel), hold="directories").dying_memcgs == 0


def test_pages_of_per_memcg_caches_hold_it_whatever_they_are_of(profile_of):
    """On 5.2.1 a kept pipe or directory leaves a dying memcg as a kept file does, with a kmem_cache for each kind."""
    for hold, caches in (("directories", 3), ("pipes", 6)):
        found = left(profile_of("tiny-5.2.1"), hold=hold)
        assert (found.dying_memcgs, found.memcg_kmem_caches) == (3, 3 * caches)


def test_pinned_tasks_strand_nothing(profile_of):
    """With all tasks on one CPU of eight, slabs are as on a machine of one, but for their orders."""
    profile = profile_of("tiny-5.9.1")

    wandering, pinned = (left(profile, cpus=8, cgroups=100, pin=pin).slab_kib for pin in ("none", "one"))

    assert sum(pinned.values()) < sum(wandering.values())


def test_more_cgroups_in_flight_take_more_slabs(profile_of):
    """What is removed and not freed yet is memory that the next ones cannot take."""
    profile = profile_of("tiny-5.9.1")

    few, many = (sum(left(profile, cgroups=50, in_flight=n).slab_kib.values()) for n in (1, 20))

    assert few < many
