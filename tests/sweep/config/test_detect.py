"""This machine as a profile, on made-up machines and on the one that runs the test."""

import struct
from pathlib import Path

import pytest

from sweep.config import btf, detect
from sweep.errors import InputError

INT, ARRAY, STRUCT, ENUM = 1, 3, 4, 6


class Btf:
    """BTF made by hand, type by type."""

    def __init__(self):
        self.types, self.names = b"", b"\0"

    def name(self, text):
        self.names += text.encode() + b"\0"
        return len(self.names) - len(text) - 1

    def add(self, kind, name, size, *, elements=b"", vlen=0, flag=0):
        self.types += struct.pack("III", self.name(name), flag << 31 | kind << 24 | vlen, size) + elements

    def struct(self, name, size, **bits):
        members = b"".join(struct.pack("III", self.name(member), 1, at) for member, at in bits.items())
        self.add(STRUCT, name, size, elements=members, vlen=len(bits))

    def bytes(self):
        header = struct.pack("HBBIIIII", 0xEB9F, 1, 0, 24, 0, len(self.types), len(self.types), len(self.names))
        return header + self.types + self.names


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

    assert btf.structs(made.bytes(), {"list"}) == {"list": btf.Struct(24, {"head": 0, "tail": 8})}


def test_btf_of_a_newer_kind_is_refused():
    """A kind that the reader does not know has a length that it does not know."""
    made = Btf()
    made.add(31, "new", 0)

    with pytest.raises(ValueError, match="kind 31"):
        btf.structs(made.bytes(), {"new"})
    with pytest.raises(ValueError, match="not BTF"):
        btf.structs(b"\x7fELF" + bytes(64), {"new"})


@pytest.mark.skipif(not Path("/sys/kernel/btf/vmlinux").exists(), reason="this kernel has no BTF")
def test_btf_of_this_kernel_has_structs_of_known_size():
    """Golden: list_head and rcu_head are two pointers, on every 64-bit kernel."""
    found = btf.structs(Path("/sys/kernel/btf/vmlinux").read_bytes(), {"list_head", "callback_head"})

    assert found["list_head"] == btf.Struct(16, {"next": 0, "prev": 8})
    assert found["callback_head"].size_bytes == 16


def test_what_is_readable_is_detected_and_the_rest_assumed(tmp_path):
    """Hand-worked: a 5.4 with two sizes in BTF and one cache; everything else is as in 5.4, and the source says so."""
    slabinfo = "slabinfo - version: 2.1\n# name\ndentry 1 2 200 20 1 : tunables\nfilp(7:x) 1 1 999 4 1 : tunables\n"
    root = machine(tmp_path, {"mem_cgroup": 3000, "kmem_cache": 456}, slabinfo)

    found = detect.profile(root, "5.4.0-42-generic")

    assert (found["design"], found["version"], found["stat_copies"]) == ("reparent_percpu", "5.4", 2)
    assert (found["structs"]["mem_cgroup"], found["structs"]["kmem_cache"]) == (3000, 448)
    assert found["structs"]["mem_cgroup_per_node"] == 816
    assert (found["caches"]["dentry"], found["caches"]["filp"]) == (200, 256)
    assert "filp(7:x)" not in found["caches"]
    assert "Linux 5.4.0-42-generic" in found["source"]
    assert "assumed as in linux-5.4: cgroup, " in found["source"]
    assert "mem_cgroup," not in found["source"]


def test_statistics_inside_another_struct_are_not_counted_twice(tmp_path):
    """Hand-worked: memcg_vmstats is part of mem_cgroup in 5.15, and on the heap in 6.6."""
    root = machine(tmp_path, {"memcg_vmstats": 1000, "lruvec_stats": 700, "percpu_ref_data": 56})

    older, newer = (detect.profile(root, release)["structs"] for release in ("5.15.0", "6.6.0"))

    assert (older["memcg_vmstats"], older["lruvec_stats"]) == (0, 0)
    assert (newer["memcg_vmstats"], newer["lruvec_stats"]) == (1000, 0)


def test_rstat_that_was_split_is_added_up(tmp_path):
    """Hand-worked: since 6.16, two css_rstat_cpu of 32 and a cgroup_rstat_base_cpu of 128 take 192 bytes per CPU."""
    root = machine(tmp_path, {"css_rstat_cpu": 32, "cgroup_rstat_base_cpu": 128})

    assert detect.profile(root, "6.18.1")["structs"]["cgroup_rstat_cpu"] == 192


def test_nothing_readable_is_all_assumed_and_said(tmp_path):
    """Without BTF and without root, sizes are those of the nearest version, by name."""
    found = detect.profile(tmp_path, "6.2.0")

    assert found["structs"]["mem_cgroup"] == 2176
    assert "0 sizes of structs from BTF" in found["source"]
    assert "kmem_caches (root may read theirs)" in found["source"]


def test_a_release_that_is_no_version_is_refused(tmp_path):
    """What is not Linux cannot be detected."""
    with pytest.raises(InputError, match=r"kernel=detected must run on Linux \(got release 'Windows'\)"):
        detect.profile(tmp_path, "Windows")


def test_detected_composes(profile_of):
    """The profile of this machine passes every rule of a profile."""
    assert profile_of("detected").name == "detected"
