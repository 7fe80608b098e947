"""Rows of a query to a terminal, a pipe or a file."""

from __future__ import annotations

import csv
import io
import json
import math
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from itertools import islice
from pathlib import Path
from typing import IO, Any

import pyarrow as pa
import pyarrow.parquet as pq
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from analysis.run import InputError
from sweep.folder import written_aside

BATCH_ROWS = 100_000  # read and written at once
MOST_TABLE_ROWS = 1000  # of a table, which is for eyes
UNBOUNDED_COLUMNS = 10_000  # a pipe has no width; rich would cut at 80


class Format(StrEnum):
    """How the rows of a query are written."""

    table = "table"
    markdown = "markdown"
    csv = "csv"
    json = "json"
    jsonl = "jsonl"
    line = "line"
    parquet = "parquet"


def console(width: int | None = None, file: IO[str] | None = None) -> Console:
    """A console as wide as its terminal; where there is none plain and `width` wide, or as wide as its tables."""
    file = file or sys.stdout
    return Console(file=file, width=None if file.isatty() else width or UNBOUNDED_COLUMNS, highlight=False)


def write_rows(batches: pa.RecordBatchReader, form: Format, to: Path | None) -> None:
    """Write rows to the file `to`, whole or not at all, or else to stdout."""
    if form is Format.parquet and to is None and sys.stdout.isatty():
        raise InputError("--format parquet is binary (got a terminal to print to); add -o FILE, or pipe it")
    twice = [name for name, times in Counter(batches.schema.names).items() if times > 1]
    if twice and form in (Format.json, Format.jsonl, Format.parquet):
        raise InputError(f"SQL must name each column once for --format {form} (got {twice[0]} twice); add `as NAME`")
    with place(to) as file:
        _write(batches, form, file)


@contextmanager
def place(to: Path | None) -> Iterator[IO[str]]:
    """stdout, or the file `to`, written whole or not at all."""
    if to is None:
        yield sys.stdout
        return
    with whole(to) as file:
        yield file


@contextmanager
def whole(to: Path) -> Iterator[IO[str]]:
    """A file that appears under its name when it is complete, and not at all when writing it fails."""
    with writable("-o", to), written_aside(to) as sink:
        file = io.TextIOWrapper(sink, encoding="utf-8", newline="")
        yield file
        file.flush()
        file.detach()


@contextmanager
def writable(option: str, to: Path) -> Iterator[None]:
    """Tell in one line that the place an option names cannot be written."""
    try:
        yield
    except OSError as error:
        raise InputError(f"{option} must be a place that can be written (got {str(to)!r}): {error.strerror}") from error


def _write(batches: pa.RecordBatchReader, form: Format, file: IO[str]) -> None:
    match form:
        case Format.table:
            _table(batches, file)
        case Format.csv:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(batches.schema.names)
            writer.writerows(_rows(batches))
        case Format.json:
            _json(batches, file)
        case Format.jsonl:
            for row in _rows(batches):
                file.write(_object(batches.schema.names, row) + "\n")
        case Format.markdown:
            _markdown(batches, file)
        case Format.line:
            _line(batches, file)
        case Format.parquet:
            _parquet(batches, file)


def _rows(batches: pa.RecordBatchReader) -> Iterator[tuple[Any, ...]]:
    for batch in batches:
        yield from zip(*(column.to_pylist() for column in batch.columns), strict=True)


def _json(batches: pa.RecordBatchReader, file: IO[str]) -> None:
    """An array with one object per line. What JSON has no word for is text (dates, decimals) or null (inf, nan)."""
    file.write("[")
    for number, row in enumerate(_rows(batches)):
        file.write((",\n " if number else "\n ") + _object(batches.schema.names, row))
    file.write("\n]\n")


def _object(names: list[str], row: tuple[Any, ...]) -> str:
    return json.dumps(dict(zip(names, map(_finite, row), strict=True)), default=str)


def _markdown(batches: pa.RecordBatchReader, file: IO[str]) -> None:
    rules = ("--:" if _is_number(field.type) else "---" for field in batches.schema)
    for cells in (batches.schema.names, rules, *(map(_cell, row) for row in _rows(batches))):
        texts = (" ".join(text.replace("|", "\\|").split()) for text in cells)
        file.write(f"| {' | '.join(texts)} |\n")


def _line(batches: pa.RecordBatchReader, file: IO[str]) -> None:
    """A row over several lines, `name = value`, and an empty line between rows."""
    names = batches.schema.names
    wide = max(map(len, names), default=0)
    for number, row in enumerate(_rows(batches)):
        file.write("\n" if number else "")
        file.writelines(f"{name:>{wide}} = {_cell(value)}\n" for name, value in zip(names, row, strict=True))


def _finite(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _parquet(batches: pa.RecordBatchReader, file: IO[str]) -> None:
    try:
        with pq.ParquetWriter(file.buffer, batches.schema) as parquet:  # type: ignore[attr-defined]
            for batch in batches:
                parquet.write_batch(batch)
    except pa.ArrowNotImplementedError as error:
        raise InputError(
            f"--format parquet cannot hold such a column ({error}); cast it, or take another format"
        ) from error


def _table(batches: pa.RecordBatchReader, file: IO[str]) -> None:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for field in batches.schema:
        table.add_column(Text(field.name), justify="right" if _is_number(field.type) else "left", overflow="fold")
    rows = _rows(batches)
    for row in islice(rows, MOST_TABLE_ROWS):
        table.add_row(*(Text(_cell(value)) for value in row))
    console(file=file).print(table)
    if next(rows, None) is not None:
        print(f"only the first {MOST_TABLE_ROWS} rows are shown; every other --format writes all", file=sys.stderr)


def _is_number(kind: pa.DataType) -> bool:
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind))


def _cell(value: Any) -> str:
    if value is None:
        return ""
    return f"{value:.6g}" if isinstance(value, float) else str(value)
