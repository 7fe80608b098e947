"""Profiles from kernel images, made by hand around a small BTF; no kernel is in the repository."""

import bz2
import gzip
import io
import lzma
import struct
import tarfile

import hydra
import pyarrow as pa
import pytest
from omegaconf import OmegaConf

from core.profile import KernelProfile
from sweep.config import detect, image
from sweep.config.records import build
from sweep.errors import InputError
from tests.support import CONF
from tests.support.kernels import FUNC, INT, POINTER, Btf, bzimage, kernel, lz4_legacy, package

RELEASE = "5.4.0-42-generic"


def small(*functions, **counts):
    """BTF of a kernel with a memory controller and not much else; counts: slots of memcg_stock_pcp, obj_stock_pcp."""
    made = Btf()
    made.add(INT, "int", 4, elements=b"\0" * 4)
    for name, count in counts.items():
        made.struct(name, 112, {"cached": made.array(count)}, cached=0)
    made.struct("mem_cgroup", 3000, vmstats_local=0)
    made.struct("kmem_cache", 8416, min_partial=0, cpu_partial=32, node=1600)
    for name in functions:
        made.add(FUNC, name, 1)
    return made.bytes()


def newer():
    """BTF with a kind of type that no reader knows yet."""
    made = Btf()
    made.add(30, "new", 0)
    return made.bytes()


BTF = small("file_free_rcu")
RAW = kernel(RELEASE, BTF)
SIZED = struct.pack("<I", len(RAW))  # what a kernel's build appends to all but gzip
COMPRESSED = {
    "gzip": gzip.compress(RAW),
    "xz": lzma.compress(RAW) + SIZED,
    "lzma": lzma.compress(RAW, format=lzma.FORMAT_ALONE) + SIZED,
    "bzip2": bz2.compress(RAW) + SIZED,
    "zstd": pa.Codec("zstd").compress(RAW).to_pybytes() + SIZED,
    "lz4 legacy": lz4_legacy(RAW) + SIZED,
    "nothing": RAW,
}


def tar(files, mode="w"):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode=mode) as archive:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return out.getvalue()


@pytest.mark.parametrize("how", COMPRESSED)
def test_a_bzimage_is_read_whatever_compressed_it(tmp_path, how):
    """BTF and release come out as they went in."""
    path = tmp_path / "vmlinuz"
    path.write_bytes(bzimage(COMPRESSED[how]))

    assert image.read_image(path) == image.Image(BTF, RELEASE, None)


@pytest.mark.parametrize("how", COMPRESSED)
def test_a_compressed_vmlinux_is_read(tmp_path, how):
    """A vmlinux or an Image that somebody compressed, without a boot sector around it."""
    path = tmp_path / "vmlinux.any"
    path.write_bytes(COMPRESSED[how])

    assert image.read_image(path).btf == BTF


@pytest.mark.parametrize("packed", ["data.tar", "data.tar.xz", "data.tar.gz", "data.tar.zst"])
@pytest.mark.parametrize("where", ["./boot/vmlinuz-5.4.0-42-generic", "./usr/lib/modules/5.4.0-42-generic/vmlinuz"])
def test_a_debian_package_is_read(tmp_path, packed, where):
    """The kernel lies under /boot, or since 7.0 under /usr/lib/modules; packages are packed in one of four ways."""
    plain = tar({"./usr/share/doc/a": b"text", where: bzimage(COMPRESSED["xz"])})
    data = {
        "data.tar": plain,
        "data.tar.xz": lzma.compress(plain),
        "data.tar.gz": gzip.compress(plain),
        "data.tar.zst": pa.Codec("zstd").compress(plain).to_pybytes(),
    }[packed]
    path = tmp_path / "linux.deb"
    path.write_bytes(package(packed, data))

    assert image.read_image(path) == image.Image(BTF, RELEASE, None)


def test_lz4_blocks_but_the_last_are_whole(tmp_path):
    """Hand-worked: content of 8 MiB and 3,000 bytes is two blocks, the second of which says how long it is itself."""
    data = bytes(8 << 20) + kernel(RELEASE, BTF)
    path = tmp_path / "Image.lz4"
    path.write_bytes(lz4_legacy(data))

    assert image._lz4_legacy(path.read_bytes()) == data
    assert image.read_image(path).btf == BTF


@pytest.mark.parametrize(("flags", "page_bytes"), [(0b0010, 4096), (0b0100, 16384), (0b0110, 65536), (0, None)])
def test_an_arm64_image_says_its_page_size(tmp_path, flags, page_bytes):
    """Documentation/arch/arm64/booting.rst: bits 1 and 2 of the flags."""
    head = bytearray(64)
    head[24], head[56:60] = flags, b"ARMd"
    path = tmp_path / "vmlinuz"
    path.write_bytes(bytes(head) + RAW)

    assert image.read_image(path).page_bytes == page_bytes


def test_an_efi_zboot_image_is_read(tmp_path):
    """arm64 since 6.1 may compress itself behind an EFI stub: 'zimg', offset and length of the payload."""
    payload = COMPRESSED["gzip"]
    path = tmp_path / "vmlinuz.efi"
    path.write_bytes(b"MZ\0\0zimg" + struct.pack("<II", 64, len(payload)) + bytes(48) + payload)

    assert image.read_image(path).btf == BTF


def test_a_copy_of_btf_takes_its_version_from_its_name_or_its_looks(tmp_path):
    """Hand-worked: two slots of the byte stock came with 7.2; a name that has a version comes first."""
    data = small(memcg_stock_pcp=7, obj_stock_pcp=5)
    named, nameless = tmp_path / "btf-7.3.4-generic", tmp_path / "vmlinux"
    for path in (named, nameless):
        path.write_bytes(data)

    assert detect.of_image(named)["version"] == "7.3"
    assert detect.of_image(nameless)["version"] == "7.2"
    assert "a kernel that looks like 7.2" in detect.of_image(nameless)["source"]


def test_btf_comes_before_the_version(tmp_path):
    """Hand-worked: an obj_cgroup in a 5.4 is a vendor's, so it charges as objcg; the source says what is from where."""
    made = Btf()
    made.add(INT, "int", 4, elements=b"\0" * 4)
    made.add(POINTER, "", 1)
    made.struct("mem_cgroup", 3000, vmstats_local=0)
    made.struct("obj_cgroup", 48)
    path = tmp_path / "vmlinux"
    path.write_bytes(kernel(RELEASE, made.bytes()))

    found = detect.of_image(path)

    assert (found["name"], found["version"], found["design"]) == (RELEASE, "5.4", "objcg")
    assert (found["structs"]["mem_cgroup"], found["stat_copies"]) == (3000, 2)
    assert found["source"].startswith("Linux 5.4.0-42-generic; from BTF: 3 sizes of structs")
    assert "by version 5.9: " in found["source"]
    assert "charge_batch_pages" in found["source"].partition("by version 5.9: ")[2]


@pytest.mark.usefixtures("profile_of")
def test_an_image_composes(tmp_path):
    """kernel=image passes every rule of a profile, and says where it was read."""
    path = tmp_path / "a vmlinuz~1+b"
    path.write_bytes(bzimage(COMPRESSED["xz"]))
    with hydra.initialize_config_dir(str(CONF), version_base="1.3"):
        config = hydra.compose("config", ["kernel=image", f"kernel.image='{path}'"])

    composed = build(KernelProfile, OmegaConf.to_container(config.kernel, resolve=True), "kernel.")

    assert (composed.name, composed.design, composed.image) == (RELEASE, "reparent_percpu", str(path))


@pytest.mark.parametrize(
    ("release", "batch"),
    [
        ("4.18.0-437.el8.x86_64", 32),
        ("4.18.0-438.el8.x86_64", 64),
        ("5.14.0-190.el9.x86_64", 32),
        ("5.14.0-191.el9.x86_64", 64),
        ("6.1.0", 64),
        ("5.19.0", 32),
    ],
)
def test_the_batch_is_what_the_version_or_the_vendor_says(tmp_path, release, batch):
    """No BTF tells a constant: MEMCG_CHARGE_BATCH follows from the release."""
    path = tmp_path / "vmlinux"
    path.write_bytes(kernel(release, BTF))

    assert detect.of_image(path)["charge_batch_pages"] == batch


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (None, "No such file or directory"),
        (b"hello", "which holds no kernel"),
        (bzimage(gzip.compress(kernel(RELEASE, b""))), "built without CONFIG_DEBUG_INFO_BTF"),
        (bzimage(COMPRESSED["xz"][:200]), "it ends early"),
        (bzimage(b"\x28\xb5\x2f\xfd" + bytes(9)), "must be whole"),
        (package("data.tar.xz", lzma.compress(tar({"./boot/config": b""}))), "which holds no kernel"),
        (package("data.tar.xz", b"\xfd7zXZ\0 no"), "must be whole"),
        (kernel(RELEASE, newer()), "kind 30, which is newer"),
    ],
)
def test_a_file_that_cannot_be_read_gets_one_line(tmp_path, data, why):
    """What is wrong, whose file it is, and what to do."""
    path = tmp_path / "vmlinuz"
    if data is not None:
        path.write_bytes(data)

    with pytest.raises(InputError, match=why) as caught:
        detect.of_image(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)
