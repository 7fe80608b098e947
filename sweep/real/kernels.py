"""The kernels that are booted: a user's own image or package, or a series of Debian's."""

from __future__ import annotations

import json
import platform
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path

from sweep.errors import InputError
from sweep.places import cache_folder
from sweep.real import debian
from sweep.real.cache import once_per_node

HERE = "live"  # what is asked for where the node's own kernel is measured
KERNEL_SERIES = re.compile(r"\d+\.\d+")
SETUP_HEADER, VERSION_AT = 0x202, 0x20E  # Documentation/arch/x86/boot.rst: 'HdrS', and where the release is, less 0x200


@dataclass(frozen=True)
class Kernel:
    """One kernel image. `name` is column `kernel`: the series, or the release that the image itself states."""

    asked: str
    name: str
    release: str
    sha256: str
    package: str  # of Debian, with its version and the start of its sha256; '' for a user's own
    mirror: str | None

    def image(self) -> Path:
        """Return the image on this node; raise InputError if it is not the one that the run was started with."""
        path = _image(self.asked, self.mirror)
        if _digest(path) != self.sha256:
            raise InputError(
                f"vm.kernel must be one image on every node (got {str(path)!r}, which differs from the first node's); "
                "give a path that all nodes share"
            )
        return path


def resolve(asked: Iterable[str], mirror: str | None) -> list[Kernel]:
    """Return the kernels of the given series and paths; two builds that state one release are told apart by digest."""
    found = [_kernel(text, mirror) for text in asked]
    names = [kernel.name for kernel in found]
    return [
        replace(kernel, name=f"{kernel.name}@{kernel.sha256[:8]}") if names.count(kernel.name) > 1 else kernel
        for kernel in found
    ]


def here() -> Kernel:
    """Return the kernel that this node runs, told from another build by what it says of itself, and by its machine."""
    said = " ".join((platform.node(), *platform.uname()))
    return Kernel(HERE, platform.release(), platform.release(), sha256(said.encode()).hexdigest(), "", None)


def is_series(text: str) -> bool:
    """Return whether a text names a series, such as 6.12; all else is a path."""
    return KERNEL_SERIES.fullmatch(text) is not None


def to_fetch(asked: Iterable[str]) -> list[str]:
    """Return the series that are not in the user's cache yet."""
    return [text for text in asked if is_series(text) and not debian.fetched(text)]


def _kernel(text: str, mirror: str | None) -> Kernel:
    path = _image(text, mirror)
    release = _release(path, text)
    package, name = "", release
    if is_series(text):
        record = json.loads((path.parent / "package.json").read_text())
        package, name = f"{record['package']} {record['version']} {record['sha256'][:12]}", text
    return Kernel(text, name, release, _digest(path), package, mirror)


def _image(text: str, mirror: str | None) -> Path:
    if is_series(text):
        return debian.fetch(text, mirror) / "vmlinuz"
    path = Path(text).expanduser().resolve()
    if not path.is_file():
        raise InputError(
            f"vm.kernel must be a Debian series, or a path to a bzImage or .deb (got {text!r}: no such file)"
        )
    if path.suffix != ".deb":
        return path
    image = cache_folder("vm/packages") / _digest(path)
    once_per_node(image, lambda half: debian.unpack(path, half))
    return image


def _release(path: Path, text: str) -> str:
    """Return the release that a bzImage states in its setup header."""
    with path.open("rb") as file:
        head = file.read(1 << 16)
    if head[SETUP_HEADER : SETUP_HEADER + 4] != b"HdrS":
        raise InputError(f"vm.kernel must be an x86 bzImage (got {text!r}); arch/x86/boot/bzImage of a build is one")
    at = 0x200 + int.from_bytes(head[VERSION_AT : VERSION_AT + 2], "little")
    return head[at : head.index(b"\0", at)].split(b" ")[0].decode(errors="replace")


def _digest(path: Path) -> str:
    return sha256(path.read_bytes()).hexdigest()
