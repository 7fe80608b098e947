"""What a sweep writes of a run's folder: parts land whole or not at all, and a part that is there is done."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import IO, Any

import pyarrow as pa
import pyarrow.fs as pafs
import pyarrow.parquet as pq

from sweep.engine.progress import say
from sweep.errors import first_line
from sweep.folder import (
    CHECKSUMS,
    DIGEST,
    MANIFEST,
    PARTS,
    Part,
    Stretch,
    checked,
    checksums,
    digest_of,
    disjoint,
    filesystem,
    is_leftover,
    is_table_file,
    parse_part,
    part_of,
    sealed,
    unsealed,
    written_aside,
)


class TornPartError(Exception):
    """A part that was sound when the run began is not what was written: its positions count as not done."""

    def __init__(self, path: str, stretch: Stretch, reason: str) -> None:
        super().__init__(path, stretch, reason)  # all of it travels between processes
        self.path, self.stretch, self.reason = path, stretch, reason

    def __str__(self) -> str:
        return f"{self.path} cannot be read: {self.reason}"


class Store:
    """The folder `root`: a path, or an address such as s3://bucket/folder."""

    def __init__(self, root: str) -> None:
        self.root = root
        self.fs, self.path = filesystem(root)

    def write_part(self, table: str, start: int, stop: int, rows: pa.Table) -> None:
        """Commit the rows of positions `start` to `stop`."""
        sink = pa.BufferOutputStream()
        pq.write_table(rows, sink, compression="zstd", write_page_checksum=True)
        content = sink.getvalue()
        self.write(part_of(table, (start, stop), content).path, content)

    def parts(self, table: str) -> dict[Stretch, str]:
        """Return the parts of a table by what they cover, in order, of those that overlap one."""
        found = self.parts_that_overlap(table)
        return {stretch: found[stretch] for stretch in disjoint(found)}

    def parts_that_overlap(self, table: str) -> dict[Stretch, str]:
        """Return every part of a table by what it covers."""
        parts = (parse_part(table, name) for name in sorted(self.names(f"{PARTS}/{table}"), reverse=True))
        return {part.stretch: part.path for part in parts if part is not None and part.digest}

    def tidy(self, tables: Iterable[str]) -> None:
        """Remove what is damaged or was never finished below `parts/`, and say which files are nobody's.

        On an object store the bytes are checked when they are read at the end: that would be a request a part, and an
        upload is there whole or not at all.
        """
        for table in tables:
            for name in list(self.names(f"{PARTS}/{table}")):
                path, part = f"{PARTS}/{table}/{name}", parse_part(table, name)
                if is_leftover(name):
                    self.delete(path)
                elif part is None or part.digest is None:
                    say(f"{path} is no part of this run, and is left aside; move it away")
                elif self.local and not part.holds(self.content(path)):
                    say(f"{path} is damaged; what it covers is done again")
                    self.forget(tables, part.stretch)

    def forget(self, tables: Iterable[str], stretch: Stretch) -> None:
        """Remove the parts that cover exactly this stretch: its positions count as not done."""
        for table in tables:
            for name in list(self.names(f"{PARTS}/{table}")):
                part = parse_part(table, name)
                if part is not None and part.stretch == stretch:
                    self.delete(part.path)

    def read_part(self, path: str) -> pa.Table:
        """Return the rows of a part. Raises TornPartError if its bytes are not those that were written."""
        with self._of_part(path) as part:
            content = self.content(path)
            if not part.holds(content):
                raise TornPartError(path, part.stretch, "its bytes are not those that were written")
            return pq.read_table(pa.BufferReader(content))

    def part_rows(self, path: str) -> int:
        """Return how many rows a part says it has. Raises TornPartError if it says nothing."""
        with self._of_part(path):
            return self.rows(path)

    @contextmanager
    def _of_part(self, path: str) -> Iterator[Part]:
        """Say of whatever cannot be read of a part which one it is."""
        _, table, name = path.split("/")
        part = parse_part(table, name)
        assert part is not None, path
        try:
            yield part
        except (pa.ArrowException, OSError) as error:
            raise TornPartError(path, part.stretch, first_line(error)) from error

    def read(self, path: str) -> pa.Table:
        """Return a Parquet file of the run, its checksums verified."""
        with self.fs.open_input_file(f"{self.path}/{path}") as file:
            return pq.ParquetFile(file, page_checksum_verification=True).read()

    def manifest(self) -> dict[str, Any] | None:
        """Return the run's manifest; None where there is none, or one that is damaged or somebody else's."""
        if self.fs.get_file_info(f"{self.path}/{MANIFEST}").type != pafs.FileType.File:
            return None
        manifest = unsealed(self.content(MANIFEST).to_pybytes())
        if manifest is None or DIGEST not in manifest:
            say(f"{MANIFEST} is damaged; it is made again from what landed")
            return None
        return manifest

    def write_manifest(self, manifest: dict[str, Any]) -> None:
        """Replace the run's manifest."""
        self.write(MANIFEST, sealed(manifest))

    def write_checksums(self, files: list[dict[str, Any]]) -> None:
        """Write the digests of the tables' files, and remove what earlier attempts left beside them."""
        self.write(CHECKSUMS, checksums(files))
        current = {file["path"] for file in files}
        for table in {path.split("/")[0] for path in current}:
            for name in list(self.names(table)):
                path = f"{table}/{name}"
                if is_leftover(name) or (is_table_file(path) and path not in current):
                    self.delete(path)
                elif path not in current:
                    say(f"{path} is no file of this run, and readers of the whole folder will see it; move it away")

    def damage(self, files: Iterable[Mapping[str, Any]]) -> str | None:
        """Return the first of a complete run's files that is not what was written; None if all are."""
        for file in files:
            path: str = file["path"]
            if self.fs.get_file_info(f"{self.path}/{path}").type != pafs.FileType.File:
                return path
            if DIGEST in file and self.digest(path) != file[DIGEST]:
                return path
        return None

    def landed(self) -> list[dict[str, Any]]:
        """Return path, rows, bytes and digest of the files that CHECKSUMS names, if all are there as they were."""
        if self.fs.get_file_info(f"{self.path}/{CHECKSUMS}").type != pafs.FileType.File:
            return []
        known = checked(self.content(CHECKSUMS).to_pybytes())
        files = [{"path": path, DIGEST: known[path]} for path in known]
        if self.damage(files) is not None:
            return []
        return [file | {"rows": self.rows(file["path"]), "bytes": self.size(file["path"])} for file in files]

    def write(self, name: str, content: bytes | pa.Buffer) -> None:
        """Write a file of the run so that it is seen whole or not at all."""
        with self.stream(name) as sink:
            sink.write(content)

    @contextmanager
    def stream(self, name: str) -> Iterator[IO[bytes]]:
        """Open a file of the run that is seen when it is complete."""
        target = f"{self.path}/{name}"
        if self.local:
            Path(target).parent.mkdir(parents=True, exist_ok=True)
            with written_aside(Path(target)) as file:
                yield file
            return
        sink = self.fs.open_output_stream(target)
        try:
            yield sink
        except BaseException:
            with contextlib.suppress(OSError):
                sink.close()  # Arrow has no way to give an upload up: what it made has to go
                self.delete(name)
            raise
        sink.close()  # the object appears

    def size(self, name: str) -> int:
        """Return the bytes of a file of the run."""
        return int(self.fs.get_file_info(f"{self.path}/{name}").size or 0)

    def rows(self, path: str) -> int:
        """Return the rows of a Parquet file of the run."""
        with self.fs.open_input_file(f"{self.path}/{path}") as file:
            return int(pq.read_metadata(file).num_rows)

    def digest(self, path: str) -> str:
        """Return the digest of a file's bytes."""
        with self.fs.open_input_stream(f"{self.path}/{path}") as file:
            return digest_of(iter(lambda: file.read(1 << 20), b""))

    def content(self, path: str) -> pa.Buffer:
        """Return the bytes of a file of the run."""
        with self.fs.open_input_stream(f"{self.path}/{path}") as file:
            return file.read_buffer()

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
        return str(self.content(name), "utf-8")

    def delete(self, path: str) -> None:
        """Remove a file of the run, if it is still there."""
        with contextlib.suppress(FileNotFoundError):
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
