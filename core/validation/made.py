"""What the program makes and keeps: files, directories, pipes or sockets, and the slab objects that each is."""

from __future__ import annotations

from dataclasses import dataclass

from core.lifecycle.memory import kmalloc
from core.profile import KernelProfile
from core.workload import TmpfsProgram

FILE = ("dentry", "shmem_inode_cache", "filp")  # caches of an open tmpfs file, all SLAB_ACCOUNT
DIRECTORY = FILE[:2]
PIPE_BYTES = (
    152,
    16 * 40,
)  # pipe_inode_info (fs/pipe.c, 5.2 to 5.9), PIPE_DEF_BUFFERS of pipe_buffer: kmalloc'ed, accounted
SOCKET = ("sock_inode_cache", "UNIX", "dentry", "filp")  # sock_alloc_inode(), sk_prot_alloc(); those that a profile has


@dataclass(frozen=True)
class Creation:
    """What the program makes: its accounted caches, and how many of them hold an object as long as it is kept."""

    caches: tuple[str, ...]
    kept: int
    pins_memcg: bool  # a kept one holds its memcg, whatever the design


def made(profile: KernelProfile, tmpfs: TmpfsProgram) -> Creation:
    """Return what the objects of a program are.

    A file's cached pages hold the memcg until folios are reparented (7.1), a socket holds it on every kernel
    (mem_cgroup_sk_alloc(), cgroup v2).
    """
    if tmpfs.hold == "files":
        return Creation(FILE, len(DIRECTORY), tmpfs.data_kib > 0 and not profile.folio_reparenting)
    if tmpfs.hold == "directories":
        return Creation(DIRECTORY, len(DIRECTORY), pins_memcg=False)
    if tmpfs.hold == "pipes":
        buffers = tuple(kmalloc(size, profile.page_bytes)[0] for size in PIPE_BYTES)
        pipe = (*buffers, "inode_cache", "dentry", "filp", "filp")
        return Creation(pipe, len(pipe), pins_memcg=False)
    socket = tuple(name for name in SOCKET if name in profile.caches)
    return Creation(socket, len(socket), pins_memcg=True)
