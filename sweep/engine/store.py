"""A run's folder, local or on an object store: parts land whole or not at all, and a part that is there is done."""

from __future__ import annotations

import contextlib
import json
import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import IO, Any

import pyarrow as pa
import pyarrow.fs as pafs
import pyarrow.parquet as pq

from sweep.engine.ranges import disjoint
from sweep.errors import InputError, first_line

Stretch = tuple[int, int]
PARTS = "parts"  # tasks' output, until the run is complete
MANIFEST = "manifest.json"


class Store:
    """The folder `root`: a path, or an address such as s3://bucket/folder."""

    def __init__(self, root: str) -> None:
        self.root = root
        self.fs, self.path = filesystem(root)

    def write_part(self, table: str, start: int, stop: int, rows: pa.Table) -> None:
        """Commit the rows of positions `start` to `stop`."""
        sink = pa.BufferOutputStream()
        pq.write_table(rows, sink, compression="zstd", write_page_checksum=True)
        self.write(part(table, (start, stop)), sink.getvalue())

    def parts(self, table: str) -> dict[Stretch, str]:
        """Return the sound parts of a table, by what they cover, in order; a torn one is removed, to be done again."""
        found = {}
        for name in self.names(f"{PARTS}/{table}"):
            path = f"{PARTS}/{table}/{name}"
            stem, _, suffix = name.partition(".")
            if suffix != "parquet":
                self.delete(path)  # a write that never ended
                continue
            if self.local and not self._sound(path):  # on an object store that is a request each, and uploads are whole
                self.delete(path)
                continue
            start, stop = map(int, stem.split("-"))
            found[start, stop] = path
        return {stretch: found[stretch] for stretch in disjoint(found)}

    def _sound(self, path: str) -> bool:
        try:
            with self.fs.open_input_file(f"{self.path}/{path}") as file:
                pq.read_metadata(file)
        except (pa.ArrowInvalid, OSError):
            return False
        return True

    def read(self, path: str) -> pa.Table:
        """Return a Parquet file of the run, its checksums verified."""
        with self.fs.open_input_file(f"{self.path}/{path}") as file:
            return pq.ParquetFile(file, page_checksum_verification=True).read()

    def manifest(self) -> dict[str, Any] | None:
        """Return the run's manifest, or None where there is none."""
        if self.fs.get_file_info(f"{self.path}/{MANIFEST}").type == pafs.FileType.NotFound:
            return None
        manifest: dict[str, Any] = json.loads(self.text(MANIFEST))
        return manifest

    def write_manifest(self, manifest: dict[str, Any]) -> None:
        """Replace the run's manifest."""
        self.write(MANIFEST, json.dumps(manifest, indent=2, sort_keys=True).encode())

    def write(self, name: str, content: bytes | pa.Buffer) -> None:
        """Write a file of the run so that it is seen whole or not at all."""
        with self.stream(name) as sink:
            sink.write(content)

    @contextmanager
    def stream(self, name: str) -> Iterator[IO[bytes]]:
        """Open a file of the run that is seen when it is complete."""
        target = f"{self.path}/{name}"
        if not self.local:
            sink = self.fs.open_output_stream(target)
            try:
                yield sink
            except BaseException:
                with contextlib.suppress(OSError):
                    sink.close()  # Arrow has no way to give an upload up: what it made has to go
                    self.delete(name)
                raise
            sink.close()  # the object appears
            return
        Path(target).parent.mkdir(parents=True, exist_ok=True)
        aside = f"{target}.{uuid.uuid4().hex}.tmp"
        try:
            with open(aside, "wb") as sink:
                yield sink
                sink.flush()
                os.fsync(sink.fileno())
            os.replace(aside, target)
        except BaseException:
            Path(aside).unlink(missing_ok=True)
            raise

    def size(self, name: str) -> int:
        """Return the bytes of a file of the run."""
        return int(self.fs.get_file_info(f"{self.path}/{name}").size or 0)

    def names(self, folder: str) -> Iterator[str]:
        """Yield the names of the files in a folder of the run."""
        return (name for name, _ in self.written(folder))

    def written(self, folder: str) -> Iterator[tuple[str, datetime]]:
        """Yield the names of the files in a folder of the run, and when each was written."""
        selector = pafs.FileSelector(f"{self.path}/{folder}", allow_not_found=True)
        found = self.fs.get_file_info(selector)
        return ((info.base_name, info.mtime) for info in found if info.type == pafs.FileType.File)

    def text(self, name: str) -> str:
        """Return a text of the run."""
        with self.fs.open_input_stream(f"{self.path}/{name}") as file:
            return str(file.read(), "utf-8")

    def delete(self, path: str) -> None:
        """Remove a file of the run."""
        self.fs.delete_file(f"{self.path}/{path}")

    def delete_folder(self, folder: str) -> None:
        """Remove a folder of the run and what is in it, if it is there."""
        if self.fs.get_file_info(f"{self.path}/{folder}").type == pafs.FileType.Directory:
            with contextlib.suppress(FileNotFoundError):  # a folder on gs:// is gone with its last object
                self.fs.delete_dir(f"{self.path}/{folder}")

    @property
    def local(self) -> bool:
        """Whether the folder is on a file system of this machine."""
        return isinstance(self.fs, pafs.LocalFileSystem)


def part(table: str, stretch: Stretch) -> str:
    """Return where the rows of a stretch of positions are kept in a run's folder."""
    start, stop = stretch
    return f"{PARTS}/{table}/{start:018d}-{stop:018d}.parquet"


def filesystem(root: str) -> tuple[pafs.FileSystem, str]:
    """Return the file system of a path or an address, and the path on it."""
    if not root:
        raise InputError("out must be a folder or an address (got ''); give out=results")
    if "://" not in root:
        return pafs.LocalFileSystem(), os.path.abspath(root)
    try:
        return pafs.FileSystem.from_uri(root)  # type: ignore[no-any-return]
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, OSError) as error:
        reason = first_line(error)
        raise InputError(
            f"out must be a folder, s3://bucket/folder or gs://bucket/folder (got {root!r}: {reason}); "
            "correct the address"
        ) from error
