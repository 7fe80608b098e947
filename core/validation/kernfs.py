"""The nodes of a kernfs root, and the radix tree that their inode numbers come from."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from core.lifecycle.memory import SLOT_BYTES, kmalloc
from core.profile import KernelProfile
from core.validation.program import Program

RADIX_HEADER_BYTES = 72  # struct radix_tree_node (xa_node) without its slots, 4.20 to 6.19


@dataclass(frozen=True)
class KernfsNode:
    """A kernfs node: its inode number, its own object and, if it is not a constant of the kernel's, its name."""

    ino: int
    objects: tuple[int, ...]


class KernfsRoot:
    """__kernfs_new_node() and kernfs_put(). Numbers only ever rise (idr_alloc_cyclic()), so what few nodes remain of
    many each keep a radix tree node of their own."""

    def __init__(self, program: Program) -> None:
        self._program = program
        self._slots = radix_slots(program.profile)
        self._next_ino = 1
        self._objects: dict[tuple[int, int], int] = {}  # radix tree node at (height, place) -> its object
        self._used: dict[tuple[int, int], set[int]] = {}  # -> numbers or places below it that are in use

    def node(self, cpu: int, name: str | None = None) -> KernfsNode:
        """Create a node; `name` if it is copied."""
        program, ino = self._program, self._next_ino
        self._next_ino += 1
        caches = ["kernfs_node_cache"]
        if name is not None:
            caches.append(kmalloc(len(name) + 1, program.profile.page_bytes)[0])
        for below, at in self._path(ino):
            known = at in self._used
            self._used.setdefault(at, set()).add(below)
            if known:
                break
            self._objects[at] = program.alloc("radix_tree_node", cpu)
        return KernfsNode(ino, tuple(program.alloc(cache, cpu) for cache in caches))

    def remove(self, node: KernfsNode, cpu: int) -> None:
        """Remove a node, and the radix tree nodes that it leaves empty."""
        for number in node.objects:
            self._program.free(number, cpu)
        for below, at in self._path(node.ino):
            self._used[at].discard(below)
            if self._used[at]:
                break
            del self._used[at]
            self._program.free(self._objects.pop(at), cpu)

    def _path(self, ino: int) -> Iterator[tuple[int, tuple[int, int]]]:
        """Yield what is below, and where, from the leaf that holds a number up to the root of the tree."""
        below, place, height = ino, ino // self._slots, 0
        while True:
            yield below, (height, place)
            if place == 0:
                return
            below, place, height = place, place // self._slots, height + 1


def radix_slots(profile: KernelProfile) -> int:
    """Slots of a radix tree node: 64, or 16 with CONFIG_BASE_SMALL."""
    return (profile.caches["radix_tree_node"] - RADIX_HEADER_BYTES) // SLOT_BYTES
