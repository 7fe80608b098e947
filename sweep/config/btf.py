"""Sizes of structs from BTF, the type information that a kernel carries (Documentation/bpf/btf.rst)."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

MAGIC = 0xEB9F
HEADER = struct.Struct("HBBIIIII")  # magic, version, flags, hdr_len, type_off, type_len, str_off, str_len
TYPE = struct.Struct("III")  # name_off, info, size or type
MEMBER = struct.Struct("III")  # name_off, type, offset
STRUCT = 4
# bytes that follow the type of each kind, for each of its vlen elements and once; kinds not listed have none
PER_ELEMENT = {4: 12, 5: 12, 6: 8, 13: 8, 15: 12, 19: 12}  # struct, union, enum, func_proto, datasec, enum64
ONCE = {1: 4, 3: 12, 14: 4, 17: 4}  # int, array, var, decl_tag
KINDS = 20


@dataclass(frozen=True)
class Struct:
    """sizeof() in bytes, and offsetof() of each member that has a name and starts at a byte."""

    size_bytes: int
    offset_bytes: dict[str, int]


def structs(data: bytes, wanted: set[str]) -> dict[str, Struct]:
    """Return the structs of the given names that BTF of this machine's byte order describes.

    Raises ValueError if `data` is not BTF, or has a kind of type that is newer than this reader.
    """
    if len(data) < HEADER.size or HEADER.unpack_from(data)[0] != MAGIC:
        raise ValueError("not BTF of this machine's byte order")
    _, _, _, header_bytes, type_off, type_len, str_off, _ = HEADER.unpack_from(data)
    names = header_bytes + str_off
    found = {}
    for at, name_off, info, size in _types(data, header_bytes + type_off, header_bytes + type_off + type_len):
        if info >> 24 & 0x1F == STRUCT and (name := _name(data, names + name_off)) in wanted:
            bitfields = info >> 31
            members = MEMBER.iter_unpack(data[at : at + MEMBER.size * (info & 0xFFFF)])
            bits = {_name(data, names + member): off & 0xFFFFFF if bitfields else off for member, _, off in members}
            found[name] = Struct(size, {member: bit // 8 for member, bit in bits.items() if member and bit % 8 == 0})
    return found


def _types(data: bytes, at: int, end: int) -> Iterator[tuple[int, int, int, int]]:
    """Yield where a type's elements start, and its three words, for each type."""
    while at < end:
        name_off, info, size = TYPE.unpack_from(data, at)
        kind, at = info >> 24 & 0x1F, at + TYPE.size
        if kind >= KINDS:
            raise ValueError(f"BTF has a type of kind {kind}, which is newer than this reader")
        yield at, name_off, info, size
        at += PER_ELEMENT.get(kind, 0) * (info & 0xFFFF) + ONCE.get(kind, 0)


def _name(data: bytes, at: int) -> str:
    return data[at : data.index(b"\0", at)].decode()
