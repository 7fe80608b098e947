"""Kernels made by hand: BTF type by type, and images around it."""

import struct

import pyarrow as pa

INT, POINTER, ARRAY, STRUCT, ENUM, FUNC = 1, 2, 3, 4, 6, 12


class Btf:
    """BTF made by hand, type by type; types are numbered from 1."""

    def __init__(self):
        self.types, self.names, self.number = b"", b"\0", 0

    def name(self, text):
        self.names += text.encode() + b"\0"
        return len(self.names) - len(text) - 1

    def add(self, kind, name, size, *, elements=b"", vlen=0, flag=0):
        self.types += struct.pack("<III", self.name(name), flag << 31 | kind << 24 | vlen, size) + elements
        self.number += 1
        return self.number

    def array(self, count):
        return self.add(ARRAY, "", 0, elements=struct.pack("<III", 1, 1, count))

    def struct(self, name, size, of=None, **bits):
        """of: member -> type, where it is not the first one."""
        members = [struct.pack("<III", self.name(member), (of or {}).get(member, 1), at) for member, at in bits.items()]
        return self.add(STRUCT, name, size, elements=b"".join(members), vlen=len(bits))

    def bytes(self):
        header = struct.pack("<HBBIIIII", 0xEB9F, 1, 0, 24, 0, len(self.types), len(self.types), len(self.names))
        return header + self.types + self.names


def kernel(release, btf):
    """What a decompressed kernel looks like from afar: a banner somewhere, BTF elsewhere."""
    return b"\x7fELF" + bytes(1000) + f"Linux version {release} (gcc)".encode() + bytes(1000) + btf + bytes(500)


def bzimage(payload):
    """An x86 boot sector and setup of four sectors, and the payload behind them; Documentation/arch/x86/boot.rst."""
    head = bytearray(5 * 512 + 64)
    head[0x1F1] = 4
    head[0x202:0x206] = b"HdrS"
    struct.pack_into("<II", head, 0x248, 64, len(payload))
    return bytes(head) + payload


def lz4_legacy(data):
    """The frame of `lz4 -l`: blocks of 8 MiB of content, each behind its length."""
    blocks = [
        pa.Codec("lz4_raw").compress(data[at : at + (8 << 20)]).to_pybytes() for at in range(0, len(data), 8 << 20)
    ]
    return b"\x02\x21\x4c\x18" + b"".join(struct.pack("<I", len(block)) + block for block in blocks)


def package(name, data):
    """A Debian package: an ar archive of three members."""
    members = {"debian-binary": b"2.0\n", "control.tar.xz": b"odd", name: data}
    return b"!<arch>\n" + b"".join(
        f"{member:<16}{0:<12}{0:<6}{0:<6}{'100644':<8}{len(content):<10}`\n".encode()
        + content
        + b"\n" * (len(content) % 2)
        for member, content in members.items()
    )
