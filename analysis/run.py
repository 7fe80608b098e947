"""The folder of one run, local or on an object store: its manifest and its tables, as `sweep.folder` lays them out."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
from pyarrow import fs

from sweep import folder
from sweep.folder import InputError as InputError  # noqa: PLC0414 (what is asked here, too, may be impossible)

ALWAYS_BYTES = 64 << 20  # a run up to this is verified whenever it is opened, the files of a larger one once
LOST_MANIFEST = {
    "state": "damaged",
    "files": [],
    "failed": [],
    "config": {},
}  # what is known where the manifest is lost


@dataclass(frozen=True)
class Run:
    """url: as the user would type it. path: the same, as `filesystem` wants it. manifest: parsed manifest.json.

    verify: check the bytes of every file, however large and however often.
    """

    url: str
    filesystem: fs.FileSystem
    path: str
    manifest: dict[str, Any]
    verify: bool = False

    def tables(self) -> dict[str, ds.Dataset]:
        """Every table that holds rows, by name: `points`, `series`, `figures` and whatever else the run landed."""
        return self._tables

    def hole(self) -> str | None:
        """What is missing of the run, in words, or None where it is whole."""
        match self.manifest["state"]:
            case "complete":
                return None
            case "partial":
                return f"{len(self.manifest['failed'])} points failed"
            case "damaged":
                return f"its {folder.MANIFEST} is damaged or gone, and made again by the same sweep"
            case state:
                return f"it is {state}: {self._missing()}"

    def _missing(self) -> str:
        points = self.tables().get("points")
        planned = self.manifest.get("points", self.manifest.get("positions"))
        if planned is None:
            return "points are missing"
        landed = points.count_rows() if points is not None else 0
        if landed >= planned:
            return f"{landed} points landed, and more were to follow where the best design changes"
        return f"{planned - landed} of {planned} points missing"

    @cached_property
    def _tables(self) -> dict[str, ds.Dataset]:
        try:
            files: dict[str, list[str]] = {}
            known = dict(self._files())
            infos = self.filesystem.get_file_info([f"{self.path}/{path}" for path in known])
            large = sum(info.size or 0 for info in infos) > ALWAYS_BYTES
            for (path, digest), info in zip(known.items(), infos, strict=True):
                self._verify(path, digest, info, once=large)
                files.setdefault(path.split("/")[0], []).append(path)
            for path in self._parts():
                files.setdefault(path.split("/")[1], []).append(path)
            return {
                table: ds.dataset(
                    [f"{self.path}/{path}" for path in paths], filesystem=self.filesystem, format="parquet"
                )
                for table, paths in files.items()
            }
        except (OSError, pa.ArrowException) as error:
            raise InputError(
                f"RUN must have sound files (got {self.url!r}): {_one_line(error)}; resume the sweep"
            ) from error

    def _files(self) -> Iterator[tuple[str, str | None]]:
        """Yield path and digest of the tables' files: of the manifest, or of CHECKSUMS where it is lost."""
        for file in self.manifest["files"]:
            yield file["path"], file.get(folder.DIGEST)
        if self.manifest["state"] == "damaged" and not any(self._parts()) and self._is_file(folder.CHECKSUMS):
            yield from folder.checked(self._content(folder.CHECKSUMS).to_pybytes()).items()

    def _parts(self) -> Iterator[str]:
        """Yield the paths of the parts of a run that has not ended; of a table with rows only those that have some."""
        if self.manifest["files"]:
            return
        selector = fs.FileSelector(f"{self.path}/{folder.PARTS}", allow_not_found=True)
        for info in self.filesystem.get_file_info(selector):
            if info.type == fs.FileType.Directory:
                yield from self._parts_of(info.base_name)

    def _parts_of(self, table: str) -> list[str]:
        names = self.filesystem.get_file_info(fs.FileSelector(f"{self.path}/{folder.PARTS}/{table}"))
        parts = [part for info in names if (part := folder.parse_part(table, info.base_name)) is not None]
        kept, rows = [], []
        for stretch in folder.disjoint(part.stretch for part in parts):
            part = next(part for part in parts if part.stretch == stretch)
            content = self._content(part.path)
            if not part.holds(content):
                print(f"{part.path} is damaged and left out; the sweep does it again", file=sys.stderr)
                continue
            kept.append(part.path)
            rows.append(pq.read_metadata(pa.BufferReader(content)).num_rows)
        return [path for path, count in zip(kept, rows, strict=True) if count or not any(rows)]

    def _verify(self, path: str, digest: str | None, info: fs.FileInfo, *, once: bool) -> None:
        """Raise InputError unless a file's bytes are those that were written. once: unless that is noted."""
        if info.type != fs.FileType.File:
            raise InputError(f"RUN must have all its files (got {self.url!r} without {path}); run the sweep again")
        if digest is None:
            return  # of a run that says nothing of its bytes
        stamp = _stamp(f"{self.url}/{path} {info.size} {info.mtime_ns} {digest}") if once else None
        if stamp is not None and not self.verify and stamp.exists() and stamp.read_text() == self._footer(path):
            return
        with self.filesystem.open_input_stream(f"{self.path}/{path}") as file:
            found = folder.digest_of(iter(lambda: file.read(1 << 20), b""))
        if found != digest:
            raise InputError(
                f"RUN must have its files as they were written (got {self.url!r}, whose {path} is damaged); "
                "the same sweep command makes it again"
            )
        if stamp is not None:
            with suppress(OSError):  # then it is read again next time
                stamp.parent.mkdir(parents=True, exist_ok=True)
                stamp.write_text(self._footer(path))

    def _footer(self, path: str) -> str:
        """Return the digest of a Parquet file's footer, which no checksum of a page covers."""
        with self.filesystem.open_input_file(f"{self.path}/{path}") as file:
            size = file.size()
            long = int.from_bytes(file.read_at(8, size - 8)[:4], "little") + 8
            return folder.digest_of(file.read_at(min(long, size), size - min(long, size)))

    def _content(self, path: str) -> pa.Buffer:
        with self.filesystem.open_input_stream(f"{self.path}/{path}") as file:
            return file.read_buffer()

    def _is_file(self, path: str) -> bool:
        return bool(self.filesystem.get_file_info(f"{self.path}/{path}").type == fs.FileType.File)


def _stamp(what: str) -> Path | None:
    """Where it is noted that a file was verified; None where there is no place for notes."""
    with suppress(RuntimeError):  # no home
        base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
        return Path(base) / "memcg-sweep" / "verified" / folder.digest_of(what.encode())
    return None


def open_run(where: str, verify: bool = False) -> Run:
    """The run at a path or URI; of an experiment's folder, its newest run."""
    folder.within_reach(where, "RUN")
    filesystem, path = folder.filesystem(where, "RUN")
    try:
        info = filesystem.get_file_info(path)
        if info.type != fs.FileType.Directory:
            what = "is not there" if info.type == fs.FileType.NotFound else "is a file; give the folder it lies in"
            raise InputError(f"RUN must be the folder of a run (got {where!r}, which {what})")
        if not _is_run(filesystem, path):
            path = _newest_run(filesystem, path, where)
        manifest = None
        if filesystem.get_file_info(f"{path}/{folder.MANIFEST}").type == fs.FileType.File:
            with filesystem.open_input_stream(f"{path}/{folder.MANIFEST}") as stream:
                manifest = folder.unsealed(stream.read())
    except (OSError, pa.ArrowException) as error:
        raise InputError(f"RUN cannot be read (got {where!r}): {_one_line(error)}") from error
    scheme = where.split("://", maxsplit=1)[0] + "://" if "://" in where else ""
    return Run(scheme + path, filesystem, path, LOST_MANIFEST | (manifest or {}), verify)


def _folders(filesystem: fs.FileSystem, path: str) -> list[fs.FileInfo]:
    return [info for info in filesystem.get_file_info(fs.FileSelector(path)) if info.type == fs.FileType.Directory]


def _written(filesystem: fs.FileSystem, path: str) -> int:
    """When a run was last written to, in ns; 0 where the folder is no run's."""
    kinds = {folder.MANIFEST: fs.FileType.File, folder.CHECKSUMS: fs.FileType.File, folder.PARTS: fs.FileType.Directory}
    infos = zip(filesystem.get_file_info([f"{path}/{name}" for name in kinds]), kinds.values(), strict=True)
    return max((info.mtime_ns or 1 for info, kind in infos if info.type == kind), default=0)


def _is_run(filesystem: fs.FileSystem, path: str) -> bool:
    return _written(filesystem, path) > 0


def _newest_run(filesystem: fs.FileSystem, path: str, where: str) -> str:
    """Of the folders in `path` that are runs, the one written to last."""
    folders = _folders(filesystem, path)
    runs = [each.path for each in folders if _is_run(filesystem, each.path)]
    if not runs:
        inside = ", ".join(sorted(each.base_name for each in folders)) or "nothing"
        raise InputError(f"RUN must hold {folder.MANIFEST}, or runs that do (got {where!r}, which holds {inside})")
    return str(max(runs, key=lambda run: (_written(filesystem, run), run)))


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())
