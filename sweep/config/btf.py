"""What BTF, the type information that a kernel carries, says of structs and functions (Documentation/bpf/btf.rst)."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

MAGIC = 0xEB9F
HEADER = struct.Struct("<HBBIIIII")  # magic, version, flags, hdr_len, type_off, type_len, str_off, str_len
TYPE = struct.Struct("<III")  # name_off, info, size or type
MEMBER = struct.Struct("<III")  # name_off, type, offset
ARRAY = struct.Struct("<III")  # type, index_type, nelems
POINTER_KIND, STRUCT_KIND, FUNC_KIND = 2, 4, 12
# bytes that follow the type of each kind, for each of its vlen elements and once; kinds not listed have none
PER_ELEMENT = {4: 12, 5: 12, 6: 8, 13: 8, 15: 12, 19: 12}  # struct, union, enum, func_proto, datasec, enum64
ONCE = {1: 4, 3: 12, 14: 4, 17: 4}  # int, array, var, decl_tag
BTF_KINDS = 20


@dataclass(frozen=True)
class Member:
    """A member that has a name: offsetof(), if it starts at a byte; elements of an array, else 1; whether a pointer."""

    offset_bytes: int | None
    count: int = 1
    pointer: bool = False


@dataclass(frozen=True)
class Struct:
    """sizeof() in bytes, and the members by name."""

    size_bytes: int
    members: dict[str, Member]


@dataclass(frozen=True)
class Types:
    """What one BTF describes: the structs that were asked for, and every function."""

    structs: dict[str, Struct]
    functions: frozenset[str]

    def has(self, name: str, member: str) -> bool:
        """Whether the struct is there and has the member."""
        return name in self.structs and member in self.structs[name].members

    def points(self, name: str, member: str) -> bool:
        """Whether the struct has the member and it is a pointer."""
        return self.has(name, member) and self.structs[name].members[member].pointer

    def count(self, name: str, member: str) -> int:
        """Return the elements of the member, if it is an array, else 1."""
        return self.structs[name].members[member].count if self.has(name, member) else 1


def types(data: bytes, wanted: Iterable[str]) -> Types:
    """Return the functions, and the structs of the given names, that little-endian BTF describes.

    Raises ValueError if `data` is not BTF, or has a kind of type that is newer than this reader.
    """
    if len(data) < HEADER.size or HEADER.unpack_from(data)[0] != MAGIC:
        raise ValueError("not BTF in little-endian byte order")
    _, _, _, header_bytes, type_off, type_len, str_off, _ = HEADER.unpack_from(data)
    wanted, names = frozenset(wanted), header_bytes + str_off
    every = list(_types(data, header_bytes + type_off, header_bytes + type_off + type_len))
    functions, found = [], {}
    for at, name_off, info, size in every:
        kind = info >> 24 & 0x1F
        if kind == FUNC_KIND:
            functions.append(_name(data, names + name_off))
        elif kind == STRUCT_KIND and (name := _name(data, names + name_off)) in wanted:
            members = MEMBER.iter_unpack(data[at : at + MEMBER.size * (info & 0xFFFF)])
            found[name] = Struct(
                size,
                {
                    _name(data, names + member): _member(
                        data, every, type_id, offset & (0xFFFFFF if info >> 31 else -1)
                    )
                    for member, type_id, offset in members
                    if member
                },
            )
    return Types(found, frozenset(functions))


def _member(data: bytes, every: list[tuple[int, int, int, int]], type_id: int, bit: int) -> Member:
    offset_bytes = None if bit % 8 else bit // 8
    while type_id:
        at, _, info, size = every[type_id - 1]
        match info >> 24 & 0x1F:
            case 8 | 9 | 10 | 11 | 18:  # typedef, volatile, const, restrict, type tag: what they stand for
                type_id = size
            case 3:
                return Member(offset_bytes, count=ARRAY.unpack_from(data, at)[2])
            case kind:
                return Member(offset_bytes, pointer=kind == POINTER_KIND)
    return Member(offset_bytes)


def _types(data: bytes, at: int, end: int) -> Iterator[tuple[int, int, int, int]]:
    """Yield where a type's elements start, and its three words, for each type."""
    while at < end:
        name_off, info, size = TYPE.unpack_from(data, at)
        kind, at = info >> 24 & 0x1F, at + TYPE.size
        if kind >= BTF_KINDS:
            raise ValueError(f"BTF has a type of kind {kind}, which is newer than this reader")
        yield at, name_off, info, size
        at += PER_ELEMENT.get(kind, 0) * (info & 0xFFFF) + ONCE.get(kind, 0)


def _name(data: bytes, at: int) -> str:
    return data[at : data.index(b"\0", at)].decode()
