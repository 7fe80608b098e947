"""The BTF inside a kernel image, without booting it: bzImage, arm64 Image, vmlinux, .deb, or BTF itself."""

from __future__ import annotations

import bz2
import io
import lzma
import re
import struct
import tarfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sweep.config import btf
from sweep.errors import InputError, first_line

IMAGE_KINDS = "a bzImage, Image, vmlinux, .deb or a copy of /sys/kernel/btf/vmlinux"
BTF_START = struct.pack("<HBBI", btf.MAGIC, 1, 0, btf.HEADER.size)
BANNER = re.compile(rb"Linux version (\d+\.\d+[^\s\0]*) \(")
IN_NAME = re.compile(r"(?<![\d.])\d+\.\d+(\.\d+)?(-[\w.+-]*\w)?")
AR_MAGIC, AR_HEADER = b"!<arch>\n", struct.Struct("<16s12s6s6s8s10s2s")
X86_SETUP, X86_MAGIC_AT = b"HdrS", 0x202
X86_SECTORS_AT, X86_PAYLOAD_AT = 0x1F1, 0x248  # struct setup_header: setup_sects; payload_offset, payload_length
ZBOOT_MAGIC, ZBOOT_MAGIC_AT, ZBOOT_PAYLOAD_AT = b"zimg", 4, 8  # drivers/firmware/efi/libstub/zboot-header.S
ARM64_MAGIC, ARM64_MAGIC_AT, ARM64_FLAGS_AT = b"ARMd", 0x38, 0x18  # Documentation/arch/arm64/booting.rst
ARM64_PAGE_BYTES = {1: 4096, 2: 16384, 3: 65536}
LZ4_BLOCK_BYTES = 8 << 20  # what each block of the legacy frame but the last one holds
DEPTH = 4  # a package holds an archive, that an image, that a compressed kernel


@dataclass(frozen=True)
class Image:
    """What a file said of the kernel that it holds; release and page size are None where it does not tell."""

    btf: bytes
    release: str | None
    page_bytes: int | None


def read_image(path: Path) -> Image:
    """Return what is in the kernel image at `path`; raises InputError, in one line, if there is no BTF in it."""
    try:
        data = path.expanduser().read_bytes()
    except OSError as error:
        raise InputError(
            f"kernel.image must be a file that can be read (got '{path}': {error.strerror}); give {IMAGE_KINDS}"
        ) from None
    release = None
    for layer in _layers(data, path):
        if banner := BANNER.search(layer):
            release = banner[1].decode(errors="replace")
        if found := max(_btf(layer), key=len, default=b""):
            named = IN_NAME.search(path.name)
            return Image(found, release or (named[0] if named else None), _page_bytes(layer, release or path.name))
    if release:
        raise InputError(
            f"kernel.image must have BTF (got '{path}', Linux {release} built without CONFIG_DEBUG_INFO_BTF); "
            "name the kernel by its version"
        )
    raise InputError(f"kernel.image must be {IMAGE_KINDS} (got '{path}', which holds no kernel that this reader knows)")


def _layers(data: bytes, path: Path) -> Iterator[bytes]:
    """Yield a file, what is inside it, and so on."""
    for _ in range(DEPTH):
        yield data
        try:
            inner = _inside(data)
        except (OSError, ValueError, EOFError, lzma.LZMAError, zlib.error, tarfile.TarError, struct.error) as error:
            raise InputError(f"kernel.image must be whole (got '{path}': {first_line(error)}); copy it again") from None
        if not inner:
            return
        data = inner


def _inside(data: bytes) -> bytes:
    """Return what a package, an image or a compressed file holds; nothing if it is none of them."""
    if data.startswith(AR_MAGIC):
        return _of_package(data)
    if data[X86_MAGIC_AT : X86_MAGIC_AT + 4] == X86_SETUP:
        offset, length = struct.unpack_from("<II", data, X86_PAYLOAD_AT)
        at = (1 + (data[X86_SECTORS_AT] or 4)) * 512 + offset
        return data[at : at + length]
    if data[ZBOOT_MAGIC_AT : ZBOOT_MAGIC_AT + 4] == ZBOOT_MAGIC:
        offset, length = struct.unpack_from("<II", data, ZBOOT_PAYLOAD_AT)
        return data[offset : offset + length]
    for magic, decompress in CODECS.items():
        if data.startswith(magic):
            return decompress(data)
    return b""


def _of_package(data: bytes) -> bytes:
    """Return the kernel of a Debian package: of its data.tar, /boot/vmlinuz-* or /usr/lib/modules/*/vmlinuz."""
    at = len(AR_MAGIC)
    while at < len(data):
        name, *_, size, _ = AR_HEADER.unpack_from(data, at)
        at += AR_HEADER.size
        if name.startswith(b"data.tar"):
            packed = data[at : at + int(size)]
            with tarfile.open(fileobj=io.BytesIO(_inside(packed) or packed)) as archive:
                for member in archive:
                    if member.isfile() and re.search(r"/vmlinu[xz][^/]*$", member.name):
                        kernel = archive.extractfile(member)
                        return kernel.read() if kernel else b""
        at += int(size) + int(size) % 2
    return b""


def _btf(data: bytes) -> Iterator[bytes]:
    """Yield every BTF in `data`: a header whose strings follow its types and start with an empty one."""
    at = data.find(BTF_START)
    while at >= 0:
        if at + btf.HEADER.size <= len(data):
            *_, header_bytes, type_off, type_len, str_off, str_len = btf.HEADER.unpack_from(data, at)
            end = at + header_bytes + str_off + str_len
            if type_off == 0 and type_len == str_off and end <= len(data) and data[end - str_len : end][:1] == b"\0":
                yield data[at:end]
        at = data.find(BTF_START, at + 1)


def _page_bytes(data: bytes, name: str) -> int | None:
    if data[ARM64_MAGIC_AT : ARM64_MAGIC_AT + 4] == ARM64_MAGIC:
        return ARM64_PAGE_BYTES.get(data[ARM64_FLAGS_AT] >> 1 & 3)
    said = re.search(r"(16|64)k\b", name)
    return int(said[1]) << 10 if said else None


def _zstd(data: bytes) -> bytes:
    """A kernel's build appends the length of the content, which is no part of the frame."""
    try:
        return _arrow(data, "zstd")
    except OSError:
        return _arrow(data[:-4], "zstd")


def _arrow(data: bytes, codec: str) -> bytes:
    import pyarrow as pa

    content: bytes = pa.CompressedInputStream(pa.BufferReader(data), codec).read()
    return content


def _whole(stream: Any, data: bytes) -> bytes:
    """Decompress up to the end of the stream; what follows it is no part of it."""
    content: bytes = stream.decompress(data)
    if not stream.eof:
        raise EOFError("it ends early")
    return content


def _lz4_legacy(data: bytes) -> bytes:
    """The legacy frame: blocks, each behind its length; the length of the whole, that a build appends, ends them."""
    import pyarrow as pa

    at, parts = 4, []
    while at + 4 <= len(data):
        (length,) = struct.unpack_from("<I", data, at)
        block = data[at + 4 : at + 4 + length]
        if len(block) < length or not length:
            break
        at += 4 + length
        parts.append(block)
    codec = pa.Codec("lz4_raw")
    sizes = [*(LZ4_BLOCK_BYTES for _ in parts[:-1]), *map(_lz4_bytes, parts[-1:])]
    return b"".join(codec.decompress(part, size).to_pybytes() for part, size in zip(parts, sizes, strict=True))


def _lz4_bytes(block: bytes) -> int:
    """How long an LZ4 block becomes: literals and matches of its sequences, without copying them."""
    at = total = 0
    while at < len(block):
        token = block[at]
        at += 1
        literals, at = _lz4_length(block, at, token >> 4)
        at += literals
        total += literals
        if at < len(block):  # the last sequence has no match
            match, at = _lz4_length(block, at + 2, token & 15)
            total += match + 4
    return total


def _lz4_length(block: bytes, at: int, length: int) -> tuple[int, int]:
    if length == 15:
        while block[at] == 255:
            length, at = length + 255, at + 1
        length, at = length + block[at], at + 1
    return length, at


CODECS: dict[bytes, Callable[[bytes], bytes]] = {
    b"\x1f\x8b": lambda data: _whole(zlib.decompressobj(31), data),
    b"\xfd7zXZ\0": lambda data: _whole(lzma.LZMADecompressor(), data),
    b"\x5d\0\0": lambda data: _whole(lzma.LZMADecompressor(), data),
    b"BZh": lambda data: _whole(bz2.BZ2Decompressor(), data),
    b"\x28\xb5\x2f\xfd": _zstd,
    b"\x02\x21\x4c\x18": _lz4_legacy,
    b"\x04\x22\x4d\x18": lambda data: _arrow(data, "lz4"),
}
