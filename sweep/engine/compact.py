"""From many small parts to few large files, in the order of the plan, with the same bytes however the plan was cut."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from hashlib import blake2b
from itertools import chain, groupby
from typing import IO, Any

import pyarrow as pa
import pyarrow.parquet as pq

from sweep.engine.store import Store, TornPartError
from sweep.folder import DIGEST, DIGEST_BYTES, PARTS, Stretch, table_file

ROWS_PER_GROUP = 1 << 14  # a record is some hundred columns wide, and the driver holds a group or two
GROUPS_PER_FILE = 32


def compact(store: Store, tables: tuple[str, ...], grain: int, done: Iterable[Stretch]) -> list[dict[str, Any]]:
    """Write every table of a run from its parts; return name, rows, bytes and digest of each file.

    Raises TornPartError if a part is not what was written.

    The last table is the record, whose rows are one per point. Rows of the others may stand in two parts where a
    scenario, `grain` positions long, was cut: they are kept once, and sorted by their columns from the left, of which
    the first counts scenarios in the order of the plan.
    """
    done, files = sorted(done), list[dict[str, Any]]()
    for table in tables:
        there = store.parts_that_overlap(table)
        parts = ((stretch, _read(store, table, stretch, there)) for stretch in done)
        rows = (rows for _, rows in parts) if table == tables[-1] else _once(parts, grain)
        files += _write(store, table, (each for each in rows if each.num_rows))
    return files


def digest(rows: Iterable[pa.Table]) -> str:
    """Name the rows of a table by their content: names, types, values and order, not how they are stored."""
    state = blake2b(digest_size=16)
    for batch in _regrouped(rows, ROWS_PER_GROUP):
        sink = pa.BufferOutputStream()
        plain = batch.replace_schema_metadata(None).combine_chunks()
        pq.write_table(
            plain, sink, compression="none", use_dictionary=False, write_statistics=False, store_schema=False
        )
        state.update(sink.getvalue())
    return state.hexdigest()


def run_digest(store: Store, table: str) -> str:
    """Return the digest of a table of a run that is complete."""
    return digest(store.read(f"{table}/{name}") for name in sorted(store.names(table)))


def _read(store: Store, table: str, stretch: Stretch, there: Mapping[Stretch, str]) -> pa.Table:
    if stretch not in there:
        raise TornPartError(f"{PARTS}/{table}", stretch, f"positions {stretch[0]} to {stretch[1]} are not there")
    return store.read_part(there[stretch])


def _once(parts: Iterable[tuple[Stretch, pa.Table]], grain: int) -> Iterator[pa.Table]:
    """Yield the rows of each run of parts that share a scenario, sorted, none twice."""
    held: list[pa.Table] = []
    reach = 0
    for (start, stop), rows in parts:
        if held and start // grain * grain >= reach:
            yield _distinct(held)
            held = []
        if rows.num_rows:
            held.append(rows)
        reach = -(-stop // grain) * grain
    if held:
        yield _distinct(held)


def _distinct(parts: list[pa.Table]) -> pa.Table:
    rows = pa.concat_tables(parts)
    distinct = rows.group_by(rows.column_names, use_threads=False).aggregate([]).cast(rows.schema)
    return distinct.sort_by([(name, "ascending") for name in rows.column_names])


def _write(store: Store, table: str, rows: Iterator[pa.Table]) -> Iterator[dict[str, Any]]:
    groups = enumerate(_regrouped(rows, ROWS_PER_GROUP))
    for number, members in groupby(groups, key=lambda pair: pair[0] // GROUPS_PER_FILE):
        name, count = table_file(table, number), 0
        _, first = next(members)
        with store.stream(name) as sink:
            hashing = _Hashing(sink)
            with pq.ParquetWriter(hashing, first.schema, compression="zstd", write_page_checksum=True) as writer:
                for batch in chain((first,), (member for _, member in members)):  # one in memory at a time
                    writer.write_table(batch, row_group_size=ROWS_PER_GROUP)
                    count += batch.num_rows
        yield {"path": name, "rows": count, "bytes": hashing.bytes, DIGEST: hashing.hexdigest()}


class _Hashing:
    """A file whose bytes are digested as they are written, so that what a disk made of them is found later."""

    closed = False

    def __init__(self, sink: IO[bytes]) -> None:
        self._sink, self._state = sink, blake2b(digest_size=DIGEST_BYTES)
        self.bytes = 0

    def write(self, content: bytes) -> int:
        """Write, and take note."""
        self._state.update(content)
        self.bytes += len(content)
        return self._sink.write(content)

    def flush(self) -> None:
        """Leave that to the file."""

    def hexdigest(self) -> str:
        """Return the digest of all that was written."""
        return self._state.hexdigest()


def _regrouped(tables: Iterable[pa.Table], rows: int) -> Iterator[pa.Table]:
    """Yield the same rows in tables of `rows` rows, but for the last."""
    held: list[pa.Table] = []
    count = 0
    for table in tables:
        held.append(table)
        count += table.num_rows
        if count >= rows:
            joined = pa.concat_tables(held)
            whole = count - count % rows
            yield from (joined.slice(at, rows) for at in range(0, whole, rows))
            held, count = [joined.slice(whole)], count - whole
    if count:
        yield pa.concat_tables(held)
