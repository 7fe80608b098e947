"""Sheets as text for a mail or a log, as Markdown, as CSV, or in colour for a terminal. A figure is never cut."""

from __future__ import annotations

import csv
import textwrap
from collections.abc import Iterable, Iterator, Sequence
from enum import StrEnum
from typing import IO

from rich.console import Console
from rich.text import Text

from analysis.palette import color
from analysis.sheets import DIMENSIONS, Entry, Estimate, Line, Sheet

WIDTH = 72  # characters of a line of a mail
GAP = "  "
OUT_OF_MEMORY = "!"
MARKS = f"{OUT_OF_MEMORY}: the host ran out of memory there"
ASCII = str.maketrans({"µ": "u", "≤": "<="})


class Form(StrEnum):
    """How tables are written."""

    table = "table"
    text = "text"
    markdown = "markdown"
    csv = "csv"


def write_sheets(sheets: Iterable[Sheet], form: Form, width: int | None, intro: Sequence[str], file: IO[str]) -> None:
    """Write sheets to a file: `width` columns, by default 72 for text, the terminal's for a table, any for Markdown."""
    match form:
        case Form.csv:
            _csv(sheets, file)
        case Form.markdown:
            print(*_paragraphs(intro, None), sep="\n\n", end="\n\n", file=file)
            for sheet in sheets:
                _markdown(sheet, width, file)
        case Form.text:
            print(*_paragraphs(map(_ascii, intro), width or WIDTH), sep="\n", end="\n\n", file=file)
            for sheet in sheets:
                print(*_lines(sheet, width or WIDTH), sep="\n", end="\n\n", file=file)
        case Form.table:
            console = Console(file=file, highlight=False, soft_wrap=True)
            room = width or (console.width if file.isatty() else WIDTH)
            console.print(Text("\n".join(_paragraphs(intro, room)), "dim"), end="\n\n")
            for sheet in sheets:
                _painted(sheet, room, console)


def _csv(sheets: Iterable[Sheet], file: IO[str]) -> None:
    """One line per figure of every sheet, in full precision."""
    out = csv.writer(file, lineterminator="\n")
    out.writerow(["table", *DIMENSIONS, "line", "column", "value", "half_width", "unit", "out_of_memory"])
    for sheet in sheets:
        for line in sheet.lines:
            for head, cell in zip(sheet.columns, line.cells, strict=True):
                place = cell.at if isinstance(cell, Estimate) else {"design": line.design}
                row = [sheet.name, *(place.get(name) for name in DIMENSIONS), " / ".join(line.keys)]
                if isinstance(cell, Estimate):
                    row += [cell.column, cell.value, cell.half_width, sheet.ask.unit(cell.column), cell.out_of_memory]
                else:
                    row += [head, cell, None, None, None]
                out.writerow(row)


def _markdown(sheet: Sheet, width: int | None, file: IO[str]) -> None:
    print(f"### {sheet.title}", *sheet.reading.splitlines(), sep="\n\n", end="\n\n", file=file)
    sectioned = any(line.section for line in sheet.lines)
    cells = [
        [*([line.section] if sectioned else []), *line.keys, *(_say(sheet, cell, " ± ") for cell in line.cells)]
        for line in sheet.lines
    ]
    heads = [*(["setting"] if sectioned else []), *sheet.keys, *sheet.columns]
    keys = len(heads) - len(sheet.columns)
    names = {name for line in sheet.lines for name in (line.design, line.section) if name}
    for columns in _stacks(heads, cells, keys, width - 2 if width else None, gap=3):
        rows = [heads, ["---" if n < keys else "--:" for n in range(len(heads))], *cells]
        for row in rows:
            print(f"| {' | '.join(_code(row[n], names) for n in columns)} |", file=file)
        print(file=file)
    if notes := _notes(sheet):
        print(*notes, sep="\n\n", end="\n\n", file=file)


def _code(text: str, names: set[str]) -> str:
    return f"`{text}`" if text in names else text.replace("|", "\\|")


def _lines(sheet: Sheet, width: int) -> Iterator[str]:
    """A sheet as plain ASCII lines without trailing blanks."""
    yield from textwrap.wrap(_ascii(sheet.title), width)
    yield "=" * min(width, max(len(line) for line in textwrap.wrap(_ascii(sheet.title), width)))
    for said in sheet.reading.splitlines():
        yield from textwrap.wrap(_ascii(said), width)
    for stack in _grid(sheet, width, " +-"):
        yield ""
        section = ""
        for texts, line in stack:
            if line is not None and line.section != section:
                section = line.section
                yield f"[{section}]"
            yield _ascii(GAP.join(texts)).rstrip()
    notes = _notes(sheet)
    if notes:
        yield ""
    for note in notes:
        yield from textwrap.wrap(_ascii(note), width)


def _painted(sheet: Sheet, width: int, console: Console) -> None:
    console.print(Text("\n".join(textwrap.wrap(sheet.title, width)), "bold"))
    for said in sheet.reading.splitlines():
        console.print(Text("\n".join(textwrap.wrap(said, width)), "italic"))
    for stack in _grid(sheet, width, " ±"):
        console.print()
        section = ""
        for number, (texts, line) in enumerate(stack):
            if line is not None and line.section != section:
                section = line.section
                console.print(Text(f"[{section}]", "bold"))
            style = "bold" if number == 0 else color(line.design) if line is not None and line.design else ""
            console.print(Text(texts[0], style) + Text((GAP + GAP.join(texts[1:])).rstrip()))
    for note in _notes(sheet):
        console.print(Text("\n".join(textwrap.wrap(note, width)), "dim"))
    console.print()


def _grid(sheet: Sheet, width: int, plus_minus: str) -> Iterator[list[tuple[list[str], Line | None]]]:
    """The sheet as one grid of padded texts, or as several on top of each other where one would be too wide."""
    heads, keys = [*sheet.keys, *sheet.columns], len(sheet.keys)
    cells = [[*line.keys, *(_say(sheet, cell, plus_minus) for cell in line.cells)] for line in sheet.lines]
    figures = {keys + n for line in sheet.lines for n, cell in enumerate(line.cells) if isinstance(cell, Estimate)} | {
        n for n in range(1, keys) if all(row[n][:1].isdigit() for row in cells)
    }
    for columns in _stacks(heads, cells, keys, width, len(GAP)):
        widths = {n: max(len(row[n]) for row in (heads, *cells)) for n in columns}
        pad = {n: (str.rjust if n in figures else str.ljust) for n in columns}
        stack: list[tuple[list[str], Line | None]] = [([pad[n](heads[n], widths[n]) for n in columns], None)]
        stack.append((["-" * widths[n] for n in columns], None))
        for row, line in zip(cells, sheet.lines, strict=True):
            stack.append(([pad[n](row[n], widths[n]) for n in columns], line))
        yield stack


def _stacks(
    heads: Sequence[str], cells: Sequence[Sequence[str]], keys: int, width: int | None, gap: int
) -> Iterator[list[int]]:
    """The columns of each grid: the keys, and others spread evenly over as few grids as they fit into."""
    widths = [max(len(row[n]) for row in (heads, *cells)) for n in range(len(heads))]
    room = width - sum(widths[:keys]) - gap * (keys - 1) if width else None
    others = range(keys, len(heads))
    stacks = _filled(others, widths, room, gap, len(others))
    even = _filled(others, widths, room, gap, -(-len(others) // len(stacks)))
    for stack in even if len(even) == len(stacks) else stacks:
        yield [*range(keys), *stack]


def _filled(columns: Sequence[int], widths: Sequence[int], room: int | None, gap: int, most: int) -> list[list[int]]:
    """Columns in order, each stack with as many as there is room for, `most` at the most, one at the least."""
    stacks: list[list[int]] = []
    used = 0
    for n in columns:
        needs = widths[n] + gap
        if stacks and len(stacks[-1]) < most and (room is None or used + needs <= room):
            stacks[-1].append(n)
            used += needs
        else:
            stacks.append([n])
            used = needs
    return stacks


def _say(sheet: Sheet, cell: Entry, plus_minus: str) -> str:
    if isinstance(cell, str):
        return cell
    said = sheet.ask.say(cell.column, cell.value, cell.half_width, plus_minus)
    return f"{said} {OUT_OF_MEMORY}" if cell.out_of_memory else said


def _notes(sheet: Sheet) -> list[str]:
    marked = any(isinstance(cell, Estimate) and cell.out_of_memory for line in sheet.lines for cell in line.cells)
    return [*([MARKS] if marked else []), *sheet.notes]


def _paragraphs(intro: Iterable[str], width: int | None) -> list[str]:
    return ["\n".join(textwrap.wrap(said, width)) if width else said for said in intro]


def _ascii(text: str) -> str:
    return text.replace(" ± ", " +- ").replace("±", "+-").translate(ASCII)
