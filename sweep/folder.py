"""The folder of a run, for whoever writes it and whoever reads it. Knows no Ray, no Hydra and no `core`.

    manifest.json       a summary: state, resolved config, versions, nodes, files, failed points
    progress.json       how far a run is, for machines
    CHECKSUMS           digests of the tables' files, as `b2sum --check` reads them
    points/00000.parquet, series/..., ...      tables, in the order of the plan
    parts/points/<start>-<stop>.<digest>.parquet, parts/series/...      tasks' output, until the run is complete
    lock                held by the driver

Parts and tables are the truth. A part says in its name which positions it covers and what its bytes are; the manifest
names the tables' files with theirs, and can be made again from what is there.
"""

from __future__ import annotations

import atexit
import json
import os
import re
import sys
import uuid
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from errno import EISDIR
from hashlib import blake2b
from pathlib import Path
from queue import Empty, Queue
from threading import Thread
from threading import enumerate as enumerate_threads
from typing import IO, TYPE_CHECKING, Any, NamedTuple, NoReturn

if TYPE_CHECKING:  # whoever prints a help text waits for neither
    import pyarrow as pa
    import pyarrow.fs as pafs

MANIFEST = "manifest.json"
PROGRESS = "progress.json"
CHECKSUMS = "CHECKSUMS"
PARTS = "parts"
LOCK = "lock"  # a file; on an object store a folder of claims, one per driver
STATES = ("running", "stopped", "partial", "complete")
DIGEST = "digest"  # of a manifest's own content, or of a file's bytes
DIGEST_BYTES = 16
ASKING = "asks a store"  # name of a thread
OWN_REFERENCE = Path(__file__).resolve().parents[1] / "conf" / "figures"  # what `reference: null` stands for
ANSWER_S = 20  # a store that does not answer for so long is out of reach

Stretch = tuple[int, int]


class InputError(ValueError):
    """Something the user wrote cannot be used; the message is one line with key, rule, value and way out."""


class Part(NamedTuple):
    """What the name of a part says. digest: of its bytes and of what it covers; None in runs of older versions."""

    path: str
    stretch: Stretch
    digest: str | None

    def holds(self, content: bytes | pa.Buffer) -> bool:
        """Whether these are the bytes that were written for what the name says."""
        table = self.path.split("/")[1]
        return self.digest is None or part_of(table, self.stretch, content).digest == self.digest


def part_of(table: str, stretch: Stretch, content: bytes | pa.Buffer) -> Part:
    """Name the part of a table that covers a stretch of positions and has this content."""
    start, stop = stretch
    state = blake2b(f"{table}/{start}-{stop}\0".encode(), digest_size=DIGEST_BYTES)
    state.update(content)
    digest = state.hexdigest()
    return Part(f"{PARTS}/{table}/{start:018d}-{stop:018d}.{digest}.parquet", stretch, digest)


def parse_part(table: str, name: str) -> Part | None:
    """Return what a file name in the folder of a table's parts says; None if it is no part's."""
    found = re.fullmatch(r"(\d{1,18})-(\d{1,18})(?:\.([0-9a-f]{32}))?\.parquet", name)
    if found is None or not int(found[1]) < int(found[2]):
        return None
    return Part(f"{PARTS}/{table}/{name}", (int(found[1]), int(found[2])), found[3])


def table_file(table: str, number: int) -> str:
    """Return where a table's file is kept in a run's folder."""
    return f"{table}/{number:05d}.parquet"


def is_table_file(path: str) -> bool:
    """Whether a path within a run's folder is that of a table's file: two names, and nowhere else."""
    return re.fullmatch(r"[a-z_]+/\d{5,}\.parquet", path) is not None and not path.startswith(f"{PARTS}/")


def is_leftover(name: str) -> bool:
    """Whether a file name is that of a write that never ended."""
    return re.fullmatch(r"\.[0-9a-f]{32}\.tmp", name) is not None


def disjoint(stretches: Iterable[Stretch]) -> list[Stretch]:
    """Return stretches of which none overlap, first come first kept, and of those that start together the longest.

    A driver that died may have left a worker behind that commits once more; what it commits is right, but done twice.
    """
    kept: list[Stretch] = []
    for start, stop in sorted(stretches, key=lambda s: (s[0], -s[1])):
        if not kept or start >= kept[-1][1]:
            kept.append((start, stop))
    return kept


def digest_of(content: bytes | pa.Buffer | Iterator[bytes]) -> str:
    """Return the digest of a file's bytes, whole or in pieces: 32 hex digits."""
    state = blake2b(digest_size=DIGEST_BYTES)
    for piece in content if isinstance(content, Iterator) else [content]:
        state.update(piece)
    return state.hexdigest()


def sealed(manifest: Mapping[str, Any]) -> bytes:
    """Return the text of a manifest, which ends in a digest of its content."""
    content = {key: value for key, value in manifest.items() if key != DIGEST}
    return json.dumps(content | {DIGEST: _content_digest(content)}, indent=2, sort_keys=True).encode()


def unsealed(text: bytes) -> dict[str, Any] | None:
    """Return the manifest that a text holds; None where it is not what was written, or no manifest at all."""
    try:
        found = json.loads(text)
    except ValueError:  # no JSON, or not even UTF-8
        return None
    except RecursionError:
        return None
    if not isinstance(found, dict) or found.get(DIGEST, _content_digest(found)) != _content_digest(found):
        return None
    files, failed, positions = found.get("files", []), found.get("failed", []), found.get("positions", 0)
    well_formed = (
        found.get("state") in STATES
        and ("files" in found or found["state"] == "running")
        and isinstance(files, list)
        and all(isinstance(file, dict) and _is_file(file) for file in files)
        and isinstance(failed, list)
        and isinstance(positions, int)
        and isinstance(found.get("config", {}), dict)
    )
    return found if well_formed else None


def _is_file(file: Mapping[str, Any]) -> bool:
    return isinstance(file.get("path"), str) and is_table_file(file["path"]) and isinstance(file.get("rows", 0), int)


def _content_digest(manifest: Mapping[str, Any]) -> str:
    content = {key: value for key, value in manifest.items() if key != DIGEST}
    return digest_of(json.dumps(content, sort_keys=True).encode())


def checksums(files: Iterable[Mapping[str, Any]]) -> bytes:
    """Return the text of CHECKSUMS for the files of a run's tables."""
    return "".join(f"{file[DIGEST]}  {file['path']}\n" for file in files).encode()


def checked(text: bytes) -> dict[str, str]:
    """Return path -> digest of every line of CHECKSUMS that is one."""
    lines = re.findall(r"^([0-9a-f]{32})  (\S+)$", text.decode(errors="replace"), re.MULTILINE)
    return {path: digest for digest, path in lines if is_table_file(path)}


def filesystem(where: str, key: str = "out") -> tuple[pafs.FileSystem, str]:
    """Return the file system of a path or an address, and the path on it.

    key: what the user would call it. Raises InputError if there is no such file system.
    """
    import pyarrow as pa
    import pyarrow.fs as pafs

    if not where:
        raise InputError(f"{key} must be a folder or an address (got ''); give {key}=results")
    if re.fullmatch(r"[a-z][a-z0-9+.-]*:/*", where):
        raise InputError(f"{key} must name a bucket or a folder (got {where!r}); is a variable of the shell not set?")
    if "://" not in where:
        return pafs.LocalFileSystem(), os.path.abspath(where)
    try:
        found, path = pafs.FileSystem.from_uri(where)
    except (pa.ArrowException, OSError, ValueError) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise InputError(
            f"{key} must be a folder, s3://bucket/folder or gs://bucket/folder (got {where!r}: {reason}); "
            "correct the address"
        ) from error
    return found, path.rstrip("/")


def within_reach(where: str, key: str = "out") -> None:
    """Raise InputError if a store does not answer: its libraries would try for minutes, and say nothing."""
    if "://" not in where:
        filesystem(where, key)
        return
    answers: Queue[BaseException | None] = Queue()

    def ask() -> None:
        try:
            found, path = filesystem(where, key)
            found.get_file_info(path)
            answers.put(None)
        except BaseException as error:  # whatever it is, it is raised where it is waited for
            answers.put(error)

    Thread(target=ask, name=ASKING, daemon=True).start()
    try:
        error = answers.get(timeout=ANSWER_S)
    except Empty:
        error = TimeoutError(f"no answer in {ANSWER_S} s")
    if isinstance(error, InputError):
        raise error
    if error is not None:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise InputError(
            f"{key} must be a place one can reach (got {where!r}: {reason}); correct the address, the network or the "
            "credentials"
        ) from error


def end_process(status: int, *, bare: bool = False) -> NoReturn:
    """End the process; `bare`: without Python's own ending, in which compiled threads of a library may still run.

    At once where a store still keeps it waiting, whose library would have it wait for minutes.
    """
    waits = any(thread.name == ASKING for thread in enumerate_threads())
    if not (bare or waits):
        sys.exit(status)
    if not waits:
        atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError, AttributeError):
            stream.flush()
    os._exit(status)


@contextmanager
def written_aside(target: Path) -> Iterator[IO[bytes]]:
    """Open a file that appears under its name when it is complete, and not at all when writing it fails.

    A link stays one; a device or a pipe is written to, and never replaced.
    """
    target = target.resolve()
    if target.exists() and not target.is_file() and not target.is_dir():
        with open(target, "wb") as sink:
            yield sink
        return
    if target.is_dir():
        raise IsADirectoryError(EISDIR, "it is a folder", str(target))
    aside = target.with_name(f".{uuid.uuid4().hex}.tmp")  # hidden: readers of a whole folder pass it by
    try:
        with open(aside, "wb") as sink:
            yield sink
            sink.flush()
            os.fsync(sink.fileno())
        os.replace(aside, target)
    except BaseException:
        aside.unlink(missing_ok=True)
        raise
