"""A run as large as one likes that looks like a real one: copies of its replicates, each with figures of its own."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from core.simulate import COLUMNS
from sweep.engine.compact import write
from sweep.engine.store import Store
from sweep.folder import sealed, table_file

SPREAD = 0.05  # of a figure, from copy to copy
PER_FILE = 1 << 19  # rows, nearly


def copies(run: Path, rows: int, to: Path, workers: int = 2) -> Path:
    """Write `rows` rows or a few more as a complete run to the folder `to`, from the points of a run that is complete.

    A copy of a replicate has names and a number of its own. Each of its figures is off by a factor, another for each
    column: what was equal within a replicate, as what churn rates share is, stays equal, and what was zero zero.
    """
    source = pq.read_table(run / "points")
    times = -(-rows // len(source))
    each = max(1, PER_FILE // len(source))
    stretches = [range(start, min(start + each, times)) for start in range(0, times, each)]
    with ProcessPoolExecutor(workers, get_context("spawn")) as pool:
        files = list(pool.map(partial(_file, str(run), str(to)), range(len(stretches)), stretches))
    manifest = json.loads((run / "manifest.json").read_text())
    about = {"files": files, "rows": {"points": times * len(source)}, "points": times * len(source)}
    (to / "manifest.json").write_bytes(sealed(manifest | about))
    return to


def _file(run: str, to: str, number: int, copied: range) -> dict:
    source = pq.read_table(f"{run}/points").combine_chunks()
    return write(Store(to), table_file("points", number), (copy_of(source, copy) for copy in copied))


def copy_of(source: pa.Table, copy: int) -> pa.Table:
    """Return one copy of all points; the same number gives the same copy."""
    rng = np.random.default_rng(copy)
    replicate = source["replicate"].to_numpy()
    changed = dict(_columns(source, replicate, rng))
    changed["replicate"] = pa.array(replicate + copy * (int(replicate.max()) + 1))
    return pa.table([changed.get(name, source[name]) for name in source.column_names], schema=source.schema)


def _columns(source: pa.Table, replicate: np.ndarray, rng: np.random.Generator) -> Iterator[tuple[str, pa.Array]]:
    replicates = int(replicate.max()) + 1
    for name in source.column_names:
        column = source[name]
        if name.endswith("_id"):
            values = pc.dictionary_encode(column).combine_chunks()
            yield name, _names(len(values.dictionary), len(values.dictionary[0].as_py()), rng).take(values.indices)
        elif name in COLUMNS and (pa.types.is_floating(column.type) or pa.types.is_integer(column.type)):
            factor = 1 + SPREAD * rng.uniform(-1, 1, replicates)
            figures = column.to_numpy() * factor[replicate]
            yield name, pa.array(np.rint(figures) if pa.types.is_integer(column.type) else figures).cast(column.type)


def _names(count: int, digits: int, rng: np.random.Generator) -> pa.Array:
    text = rng.bytes(-(-digits // 2) * count).hex()
    width = -(-digits // 2) * 2
    return pa.array([text[at : at + digits] for at in range(0, width * count, width)])
