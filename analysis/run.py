"""The folder of one run, local or on an object store: its manifest and its tables of Parquet parts."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.dataset as ds
from pyarrow import fs

MANIFEST = "manifest.json"
PARTS = "parts"  # where tables lie until the run ends


class InputError(Exception):
    """What was asked cannot be done; the message is one line that says why and what to do."""


@dataclass(frozen=True)
class Run:
    """url: as the user would type it. path: the same, as `filesystem` wants it. manifest: parsed manifest.json."""

    url: str
    filesystem: fs.FileSystem
    path: str
    manifest: dict[str, Any]

    def tables(self) -> dict[str, ds.Dataset]:
        """Every table that holds rows, by name: `points`, `series`, `figures` and whatever else the run landed."""
        files: dict[str, list[str]] = {}
        for path in self._files():
            files.setdefault(path.split("/")[-2], []).append(f"{self.path}/{path}")
        try:
            return {
                name: ds.dataset(paths, filesystem=self.filesystem, format="parquet") for name, paths in files.items()
            }
        except (OSError, pa.ArrowException) as error:
            raise InputError(
                f"RUN must have sound files (got {self.url!r}): {_one_line(error)}; resume the sweep"
            ) from error

    def hole(self) -> str | None:
        """What is missing of the run, in words, or None where it is whole."""
        match self.manifest["state"]:
            case "complete":
                return None
            case "partial":
                return f"{len(self.manifest['failed'])} points failed"
            case state:
                points, planned = self.tables().get("points"), self.manifest["positions"]
                landed = points.count_rows() if points is not None else 0
                if landed >= planned:
                    return (
                        f"it is {state}: {landed} points landed, and more were to follow where the best design changes"
                    )
                return f"it is {state}: {planned - landed} of {planned} points missing"

    def _files(self) -> list[str]:
        """Paths within the run: of the finished tables, or of the parts of a run that has not ended."""
        if self.manifest.get("files"):
            return [file["path"] for file in self.manifest["files"]]
        selector = fs.FileSelector(f"{self.path}/{PARTS}", recursive=True, allow_not_found=True)
        found = [info.path for info in self.filesystem.get_file_info(selector) if info.type == fs.FileType.File]
        return _disjoint(path.removeprefix(f"{self.path}/") for path in found if path.endswith(".parquet"))


def _disjoint(parts: Iterable[str]) -> list[str]:
    """Of the parts `<table>/<start>-<stop>.parquet` those of which none overlap, the longest first.

    A worker that outlived its driver may have left a part that covers the same points as another.
    """
    spans = []
    for part in parts:
        table, _, name = part.rpartition("/")
        first, _, last = name.removesuffix(".parquet").partition("-")
        spans.append((table, int(first), -int(last), part))
    kept: list[str] = []
    reach: dict[str, int] = {}
    for table, start, minus_stop, part in sorted(spans):
        if start >= reach.get(table, 0):
            kept.append(part)
            reach[table] = -minus_stop
    return kept


def open_run(where: str) -> Run:
    """The run at a path or URI; of an experiment's folder, its newest run."""
    filesystem, path = _resolve(where)
    try:
        info = filesystem.get_file_info(path)
        if info.type != fs.FileType.Directory:
            raise InputError(f"RUN must be the folder of a run (got {where!r}, which is not there)")
        if not _has_manifest(filesystem, path):
            path = _newest_run(filesystem, path, where)
        with filesystem.open_input_stream(f"{path}/{MANIFEST}") as stream:
            manifest = json.loads(stream.read())
    except (OSError, pa.ArrowException, json.JSONDecodeError) as error:
        raise InputError(f"RUN cannot be read (got {where!r}): {_one_line(error)}") from error
    scheme = where.split("://", maxsplit=1)[0] + "://" if "://" in where else ""
    return Run(url=scheme + path, filesystem=filesystem, path=path, manifest=manifest)


def _resolve(where: str) -> tuple[fs.FileSystem, str]:
    """The filesystem of a path or URI, and the path in it."""
    if "://" not in where:
        return fs.LocalFileSystem(), str(Path(where).absolute())
    try:
        filesystem, path = fs.FileSystem.from_uri(where)
    except (OSError, pa.ArrowException) as error:
        raise InputError(f"RUN must be a path, s3:// or gs:// (got {where!r}): {_one_line(error)}") from error
    return filesystem, path.rstrip("/")


def _folders(filesystem: fs.FileSystem, path: str) -> list[fs.FileInfo]:
    return [info for info in filesystem.get_file_info(fs.FileSelector(path)) if info.type == fs.FileType.Directory]


def _has_manifest(filesystem: fs.FileSystem, path: str) -> bool:
    return bool(filesystem.get_file_info(f"{path}/{MANIFEST}").type == fs.FileType.File)


def _newest_run(filesystem: fs.FileSystem, path: str, where: str) -> str:
    """Of the folders in `path` that hold a manifest, the one whose manifest was written last."""
    folders = _folders(filesystem, path)
    runs = [folder.path for folder in folders if _has_manifest(filesystem, folder.path)]
    if not runs:
        inside = ", ".join(sorted(folder.base_name for folder in folders)) or "nothing"
        raise InputError(f"RUN must hold {MANIFEST}, or runs that do (got {where!r}, which holds {inside})")
    return str(max(runs, key=lambda run: (filesystem.get_file_info(f"{run}/{MANIFEST}").mtime_ns, run)))


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())
