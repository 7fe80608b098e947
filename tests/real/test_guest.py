"""The guest program's archive, and what is read back from its console."""

import stat

import pytest

from sweep.real.guest import GuestError, archive, read_console

CHURN = """
[    0.1] Linux
@memory before 0 0 100 60 40 8
@slab before dentry 21 42 192 21 1
@memory after 2 6 180 100 80 20
[    9.9] cut in two: @slab after dentry 63 84 192 21 1
@flight 20 30
@time object 8000000 800
@done
"""
COUNTS = """
@missing try_charge 2
@calls create before try_charge_memcg 5 0
@calls create after try_charge_memcg 619 1
@calls create after obj_cgroup_uncharge_pages 10 0
@calls create after obj_cgroup_uncharge_pages 20 0
@done
"""


def members(data):
    """Name, mode and content of each member of a newc archive, read by hand."""
    at, found = 0, []
    while at < len(data):
        assert data[at : at + 6] == b"070701"
        fields = [int(data[at + 6 + 8 * i : at + 14 + 8 * i], 16) for i in range(13)]
        name_end = at + 110 + fields[11]
        start = name_end + -name_end % 4
        end = start + fields[6]
        found.append((data[at + 110 : name_end - 1].decode(), fields[1], data[start:end]))
        at = end + -end % 4
    return found


def test_the_archive_holds_a_program_and_a_console():
    """A newc archive with /init, which may run, and the device it prints to; sizes that are no multiple of 4 too."""
    found = members(archive(b"12345"))

    assert [name for name, *_ in found] == ["dev", "dev/console", "init", "TRAILER!!!"]
    modes = {name: mode for name, mode, _ in found}
    assert stat.S_ISCHR(modes["dev/console"])
    assert modes["init"] == 0o100755
    assert found[2][2] == b"12345"


def test_a_churn_is_read_before_and_after():
    """Figures, slabs, cgroups in flight and pace come back as they were printed, even behind the kernel's own words."""
    found = read_console(CHURN)

    assert found.memory == {"before": (0, 0, 100, 60, 40, 8), "after": (2, 6, 180, 100, 80, 20)}
    assert found.slabs["dentry"] == {"before": (21, 42, 192, 21, 1), "after": (63, 84, 192, 21, 1)}
    assert found.in_flight == 1.5
    assert found.us_per("object") == 10
    assert found.us_per("churn") is None


def test_calls_are_summed_over_the_tables_of_a_phase():
    """The function profiler has a table per CPU; kprobes have one, with what they missed."""
    found = read_console(COUNTS)

    assert found.calls["create", "try_charge_memcg"] == {"before": (5, 0), "after": (619, 1)}
    assert found.calls["create", "obj_cgroup_uncharge_pages"] == {"after": (30, 0)}
    assert found.missing == ["try_charge"]


@pytest.mark.parametrize(
    ("console", "said"),
    [
        ("[ 1.0] Kernel panic - not syncing: VFS\n[ 1.1] Rebooting", "stopped before the end: .*Kernel panic"),
        ("@memory before 0 0 1 1 1 1", "stopped before the end"),
        ("", "stopped before the end: no output"),
        ("@error /sys/fs/cgroup 2\n@done", "failed at /sys/fs/cgroup: No such file or directory"),
    ],
)
def test_a_guest_that_did_not_measure_is_one_line(console, said):
    """A panic, a stop and a failure of the program each say what happened."""
    with pytest.raises(GuestError, match=said) as error:
        read_console(console)
    assert "\n" not in str(error.value)
