"""This machine as a profile, on made-up machines and on the one that runs the test."""

from pathlib import Path

import pytest

from sweep.config import btf, detect
from sweep.errors import InputError
from tests.support.kernels import ARRAY, ENUM, FUNC, INT, POINTER, Btf


def machine(root, sizes, slabinfo=""):
    made = Btf()
    made.add(INT, "int", 4, elements=b"\0" * 4)
    made.add(ARRAY, "", 0, elements=b"\0" * 12)
    made.add(ENUM, "colour", 4, elements=b"\0" * 16, vlen=2)
    for name, size in sizes.items():
        made.struct(name, size, first=0, node=8 * (size - 8))
    for path, content in (("sys/kernel/btf/vmlinux", made.bytes()), ("proc/slabinfo", slabinfo.encode())):
        (root / path).parent.mkdir(parents=True)
        (root / path).write_bytes(content)
    return root


def test_btf_sizes_and_offsets_are_read_past_other_kinds():
    """Hand-worked: a struct of 24 bytes after an int, an array and an enum, its second member at bit 64."""
    made = Btf()
    made.add(INT, "int", 4, elements=b"\0" * 4)
    made.add(ARRAY, "", 0, elements=b"\0" * 12)
    made.add(ENUM, "colour", 4, elements=b"\0" * 16, vlen=2)
    made.struct("list", 24, head=0, tail=64, flag=131)  # a member that starts within a byte has no offset
    made.struct("other", 8)

    members = {"head": btf.Member(0), "tail": btf.Member(8), "flag": btf.Member(None)}
    assert btf.types(made.bytes(), {"list"}).structs == {"list": btf.Struct(24, members)}


def test_btf_tells_arrays_pointers_and_functions():
    """Hand-worked: seven slots and a pointer, the latter behind a typedef; a function by its name."""
    made = Btf()
    made.add(INT, "int", 4, elements=b"\0" * 4)
    seven, pointer = made.array(7), made.add(POINTER, "", 1)
    typedef = made.add(8, "psi_t", pointer)
    made.struct("stock", 64, {"cached": seven, "psi": typedef}, cached=0, psi=448)
    made.add(FUNC, "file_free_rcu", 1)

    found = btf.types(made.bytes(), {"stock"})

    assert (found.count("stock", "cached"), found.count("stock", "psi"), found.count("none", "psi")) == (7, 1, 1)
    assert (found.points("stock", "psi"), found.points("stock", "cached")) == (True, False)
    assert found.functions == {"file_free_rcu"}


def test_btf_of_a_newer_kind_is_refused():
    """A kind that the reader does not know has a length that it does not know."""
    made = Btf()
    made.add(31, "new", 0)

    with pytest.raises(ValueError, match="kind 31"):
        btf.types(made.bytes(), {"new"})
    with pytest.raises(ValueError, match="not BTF"):
        btf.types(b"\x7fELF" + bytes(64), {"new"})


@pytest.mark.skipif(not Path("/sys/kernel/btf/vmlinux").exists(), reason="this kernel has no BTF")
def test_btf_of_this_kernel_has_structs_of_known_size():
    """Golden: list_head and rcu_head are two pointers, on every 64-bit kernel."""
    found = btf.types(Path("/sys/kernel/btf/vmlinux").read_bytes(), {"list_head", "callback_head"})

    pointer = [btf.Member(at, pointer=True) for at in (0, 8)]
    assert found.structs["list_head"] == btf.Struct(16, dict(zip(("next", "prev"), pointer, strict=True)))
    assert found.structs["callback_head"].size_bytes == 16
    assert "kmem_cache_free" in found.functions


def test_what_is_readable_is_detected_and_the_rest_assumed(tmp_path):
    """Hand-worked: a 5.4 with two sizes in BTF and one cache; everything else is as in 5.4, and the source says so."""
    slabinfo = "slabinfo - version: 2.1\n# name\ndentry 1 2 200 20 1 : tunables\nfilp(7:x) 1 1 999 4 1 : tunables\n"
    root = machine(tmp_path, {"mem_cgroup": 3000, "kmem_cache": 456}, slabinfo)

    found = detect.detected_profile(root, "5.4.0-42-generic")

    assert (found["design"], found["version"], found["charge_batch_pages"]) == ("reparent_percpu", "5.4", 32)
    assert (found["structs"]["mem_cgroup"], found["structs"]["kmem_cache"]) == (3000, 448)
    assert found["structs"]["mem_cgroup_per_node"] == 816
    assert (found["caches"]["dentry"], found["caches"]["filp"]) == (200, 256)
    assert "filp(7:x)" not in found["caches"]
    assert "Linux 5.4.0-42-generic" in found["source"]
    assert "assumed as in linux-5.4: cgroup, " in found["source"]
    assert "mem_cgroup," not in found["source"]


def test_statistics_inside_another_struct_are_not_counted_twice():
    """Hand-worked: memcg_vmstats is part of mem_cgroup in 5.15, and on the heap in 6.6, which a pointer shows."""
    made = Btf()
    made.add(INT, "int", 4, elements=b"\0" * 4)
    pointer = made.add(POINTER, "", 1)
    made.struct("memcg_vmstats", 1000)
    made.struct("mem_cgroup", 3000, {"vmstats": pointer}, vmstats=0)
    newer = detect._structs(btf.types(made.bytes(), detect.WANTED))
    made.struct("mem_cgroup", 4000, vmstats=0)
    older = detect._structs(btf.types(made.bytes(), detect.WANTED))

    assert (older["memcg_vmstats"], newer["memcg_vmstats"]) == (0, 1000)


def test_rstat_that_was_split_is_added_up(tmp_path):
    """Hand-worked: since 6.16, two css_rstat_cpu of 32 and a cgroup_rstat_base_cpu of 128 take 192 bytes per CPU."""
    root = machine(tmp_path, {"css_rstat_cpu": 32, "cgroup_rstat_base_cpu": 128})

    assert detect.detected_profile(root, "6.18.1")["structs"]["cgroup_rstat_cpu"] == 192


def test_nothing_readable_is_all_assumed_and_said(tmp_path):
    """Without BTF and without root, sizes are those of the nearest version, by name."""
    found = detect.detected_profile(tmp_path, "6.2.0")

    assert found["structs"]["mem_cgroup"] == 2176
    assert "from BTF: 0 sizes of structs" in found["source"]
    assert "from /proc/slabinfo: 0 sizes of kmem_caches" in found["source"]


def test_a_release_that_is_no_version_is_refused(tmp_path):
    """What is not Linux cannot be detected."""
    with pytest.raises(InputError, match=r"kernel=detected must run on Linux \(got release 'Windows'\)"):
        detect.detected_profile(tmp_path, "Windows")


def test_detected_composes(profile_of):
    """The profile of this machine passes every rule of a profile."""
    assert profile_of("detected").name == "detected"
