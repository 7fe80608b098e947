"""From many small parts to few large files, in the order of the plan, with the same bytes however the plan was cut.

A file is a task: which of the parts' rows it holds is known before any is read, so workers make files side by side.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from hashlib import blake2b
from itertools import accumulate, chain, islice
from typing import IO, Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from core.kept import let_go
from sweep.engine.store import Store, TornPartError
from sweep.folder import DIGEST, DIGEST_BYTES, PARTS, Stretch, table_file

ROWS_PER_GROUP = 1 << 16  # a record is some 180 columns wide; whoever writes a file holds a group or two of 100 MB
ROWS_PER_FILE = 8 * ROWS_PER_GROUP
DIGESTED_ROWS = 1 << 14  # at once; another number is another digest of the same rows
LOOKED_AT = 1 << 14  # rows of a file by which it is decided how its columns are written
REPEATS = 4  # as often as a value has to stand there on average for a dictionary to pay
REQUESTS = 8  # of small files, at once: an object store answers one in tens of milliseconds
PLAIN_OF = {
    pa.float64(): "BYTE_STREAM_SPLIT",
    pa.int64(): "DELTA_BINARY_PACKED",
    pa.string(): "DELTA_LENGTH_BYTE_ARRAY",
}  # of what has no dictionary
PARTS_COUNTED = 1000  # by one task

Said = dict[str, Any]  # path, rows, bytes and digest of a file
Each = Callable[[Callable[[Any], Any], list[Any]], Iterable[Any]]


class File(NamedTuple):
    """A file of a table that is to be made.

    parts: what they cover -> their paths, in order. start, stop: of the record, the rows of the parts, counted from the
    first of the first, that are of this file; of other tables, the scenarios, or None where it is all of them.
    """

    root: str
    path: str
    parts: tuple[tuple[Stretch, str], ...]
    grain: int | None  # None: of the record
    start: int | None
    stop: int | None


def compact(
    store: Store, tables: tuple[str, ...], grain: int, done: Iterable[Stretch], each: Each = map
) -> list[dict[str, Any]]:
    """Write every table of a run from its parts; return path, rows, bytes and digest of each file.

    each: has a function done to every file of a list, wherever, and gives what it returns, in any order. Raises
    TornPartError if a part is not what was written.

    The last table is the record, whose rows are one per point. Rows of the others may stand in two parts where a
    scenario, `grain` positions long, was cut: they are kept once, and sorted by their columns from the left, of which
    the first counts scenarios in the order of the plan.
    """
    done, files = sorted(done), list[File]()
    for table in tables:
        there = store.parts_that_overlap(table)
        parts = [(stretch, _path(table, stretch, there)) for stretch in done]
        if table == tables[-1]:
            files += _of_record(store, table, parts, _counted(store, parts, each))
        else:
            files += _of_scenarios(store, table, parts, grain)
    made = [said for said in _sound(each(make, files)) if said["rows"]]
    order = {file.path: at for at, file in enumerate(files)}
    return sorted(made, key=lambda file: order[file["path"]])


def _path(table: str, stretch: Stretch, there: Mapping[Stretch, str]) -> str:
    if stretch not in there:
        raise TornPartError(f"{PARTS}/{table}", stretch, f"positions {stretch[0]} to {stretch[1]} are not there")
    return there[stretch]


def _sound(ends: Iterable[Any]) -> list[Any]:
    """Return them all, or raise the first that is an exception when none is under way any more."""
    ended = list(ends)
    for end in ended:
        if isinstance(end, Exception):
            raise end
    return ended


def _counted(store: Store, parts: list[tuple[Stretch, str]], each: Each) -> list[int]:
    """Return how many rows each part has, which it says in its last bytes."""
    paths = [path for _, path in parts]
    some = [(store.root, at, paths[at : at + PARTS_COUNTED]) for at in range(0, len(paths), PARTS_COUNTED)]
    return [count for _, counts in sorted(_sound(each(count_rows, some))) for count in counts]


def count_rows(some: tuple[str, int, list[str]]) -> tuple[int, list[int]] | Exception:
    """Return a number that was given, and how many rows each part of a run has."""
    root, at, paths = some
    store = Store(root)
    try:
        with ThreadPoolExecutor(1 if store.local else REQUESTS) as pool:
            return at, list(pool.map(store.part_rows, paths))
    except TornPartError as error:
        return error


def _of_record(store: Store, table: str, parts: list[tuple[Stretch, str]], counts: list[int]) -> Iterator[File]:
    """Yield files of so many rows."""
    ends = list(accumulate(counts, initial=0))
    for number, start in enumerate(range(0, ends[-1], ROWS_PER_FILE)):
        stop = min(start + ROWS_PER_FILE, ends[-1])
        first, last = bisect_right(ends, start) - 1, bisect_left(ends, stop)
        own = tuple(parts[first:last])
        yield File(store.root, table_file(table, number), own, None, start - ends[first], stop - ends[first])


def _of_scenarios(store: Store, table: str, parts: list[tuple[Stretch, str]], grain: int) -> Iterator[File]:
    """Yield files of so many positions, cut between scenarios."""
    several = -(-ROWS_PER_FILE // grain)  # scenarios of a file
    total = parts[-1][0][1] if parts else 0
    if total <= several * grain:
        yield File(store.root, table_file(table, 0), tuple(parts), grain, None, None)
        return
    for number, start in enumerate(range(0, total, several * grain)):
        stop = start + several * grain
        first = bisect_right(parts, start, key=lambda part: part[0][1])
        own = tuple(parts[first : bisect_left(parts, stop, key=lambda part: part[0][0])])
        yield File(store.root, table_file(table, number), own, grain, start // grain, stop // grain)


def make(file: File) -> Said | Exception:
    """Write a file; return what there is to say of it, or why it cannot be.

    A file without rows is not written.
    """
    let_go()  # of what this process simulated: a file takes as much room
    store = Store(file.root)
    try:
        rows = _own(file, _read(store, file.parts))
        return write(store, file.path, (each for each in rows if each.num_rows))
    except (TornPartError, OSError) as error:
        return error


def _read(store: Store, parts: Iterable[tuple[Stretch, str]]) -> Iterator[tuple[Stretch, pa.Table]]:
    """Yield the rows of parts; of those on an object store some are asked for before they are wanted."""
    if store.local:
        yield from ((stretch, store.read_part(path)) for stretch, path in parts)
        return
    waiting, asked = iter(parts), deque[tuple[Stretch, Future[pa.Table]]]()
    with ThreadPoolExecutor(REQUESTS) as pool:
        while True:
            more = islice(waiting, REQUESTS - len(asked))
            asked += [(stretch, pool.submit(store.read_part, path)) for stretch, path in more]
            if not asked:
                return
            stretch, rows = asked.popleft()
            yield stretch, rows.result()


def _own(file: File, parts: Iterator[tuple[Stretch, pa.Table]]) -> Iterator[pa.Table]:
    """Yield those rows of its parts that are of a file."""
    if file.grain is not None:
        yield from (_between(rows, file) for rows in _once(parts, file.grain))
        return
    start, stop = file.start or 0, file.stop or 0
    for _, rows in parts:
        yield rows.slice(max(start, 0), max(stop - max(start, 0), 0))
        start, stop = start - rows.num_rows, stop - rows.num_rows


def _between(rows: pa.Table, file: File) -> pa.Table:
    if file.start is None:
        return rows
    number = rows.column(0)
    return rows.filter(pc.and_(pc.greater_equal(number, file.start), pc.less(number, file.stop)))


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


def write(store: Store, path: str, rows: Iterator[pa.Table]) -> Said:
    """Write a file of a table, and return what there is to say of it; without rows none is written."""
    count, groups = 0, _regrouped(rows, ROWS_PER_GROUP)
    first = next(groups, None)
    if first is None:
        return {"path": path, "rows": 0}
    with store.stream(path) as sink:
        hashing = _Hashing(sink)
        how = {"compression": "zstd", "write_page_checksum": True, **_encodings(first.slice(0, LOOKED_AT))}
        with pq.ParquetWriter(hashing, first.schema, **how) as writer:
            for group in chain((first,), groups):  # one in memory at a time
                writer.write_table(group, row_group_size=ROWS_PER_GROUP)
                count += group.num_rows
    return {"path": path, "rows": count, "bytes": hashing.bytes, DIGEST: hashing.hexdigest()}


def digest(rows: Iterable[pa.Table]) -> str:
    """Name the rows of a table by their content: names, types, values and order, not how they are stored."""
    state = blake2b(digest_size=16)
    for batch in _regrouped(rows, DIGESTED_ROWS):
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


def _encodings(rows: pa.Table) -> dict[str, Any]:
    """Return how columns are written: what repeats as a dictionary, what does not as its type is smallest."""
    own = {
        field.name: PLAIN_OF[field.type]
        for field in rows.schema
        if field.type in PLAIN_OF and pc.count_distinct(rows[field.name]).as_py() * REPEATS > rows.num_rows
    }
    return {"use_dictionary": [name for name in rows.column_names if name not in own], "column_encoding": own}


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
