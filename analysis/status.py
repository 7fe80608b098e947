"""How far a run is, and which runs there are: what a batch job, or whoever waits for it, wants to know."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pyarrow as pa
from pyarrow import fs

from analysis.run import InputError, Run
from sweep import folder

SHOWN_OF_PROGRESS = (
    "state",
    "points_done",
    "points_total",
    "rate_per_s",
    "eta_s",
    "compiling",
    "tasks_running",
    "updated_at",
)


def how_far(run: Run) -> dict[str, Any]:
    """What progress.json says; of a run that has none, what its manifest and its files say, and no rate."""
    try:
        with run.filesystem.open_input_stream(f"{run.path}/{folder.PROGRESS}") as stream:
            found = json.loads(stream.read())
        if isinstance(found, dict):
            return {key: found[key] for key in SHOWN_OF_PROGRESS if key in found}
    except (OSError, ValueError, pa.ArrowException):
        pass  # an older run, or one that is only starting
    points = run.tables().get("points")
    return {
        "state": run.manifest.get("state", "damaged"),
        "points_done": points.count_rows() if points is not None else 0,
        "points_total": run.manifest.get("points", run.manifest.get("positions")),
        "updated_at": run.manifest.get("ended_at", run.manifest.get("started_at")),
    }


def listed(out: str) -> Iterator[dict[str, Any]]:
    """Every run below a folder or an address, by experiment and start: what its manifest says.

    Raises InputError if there is none.
    """
    filesystem, path = folder.filesystem(out, "OUT")
    try:
        selector = fs.FileSelector(path, recursive=True, allow_not_found=True)
        paths = [info.path for info in filesystem.get_file_info(selector) if info.base_name == folder.MANIFEST]
    except (OSError, pa.ArrowException) as error:
        raise InputError(f"OUT cannot be read (got {out!r}): {' '.join(str(error).split())}") from error
    if not paths:
        raise InputError(f"OUT must hold runs (got {out!r}, which holds none); python -m sweep ... out={out} makes one")
    found = []
    for manifest_path in paths:
        where = manifest_path.removesuffix(f"/{folder.MANIFEST}")
        with filesystem.open_input_stream(manifest_path) as stream:
            manifest = folder.unsealed(stream.read()) or {"state": "damaged"}
        found.append(
            {
                "run": f"{out.split('://', maxsplit=1)[0]}://{where}" if "://" in out else where,
                "experiment": manifest.get("experiment"),
                "state": manifest["state"],
                "points": manifest.get("rows", {}).get("points"),
                "failed": len(manifest.get("failed", [])),
                "started_at": manifest.get("started_at"),
                "wall_s": manifest.get("wall_s"),
                "commit": manifest.get("commit"),
            }
        )
    yield from sorted(found, key=lambda run: (str(run["experiment"]), str(run["started_at"])))
