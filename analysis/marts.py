"""The questions of sql/: each file is one query whose header states its question, its grain and its columns.

-- question: ...
-- grain: one row per (...)
-- given_back_bytes [lost_bytes_end]: a column that the query makes, the column whose unit it has, what it means
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from importlib import resources

HEADER_LINE = re.compile(r"-- (?P<key>\w+)(?: \[(?P<unit>\w+)\])?: (?P<text>.+)")


@dataclass(frozen=True)
class Made:
    """A column that a mart makes. unit_of: the result column whose unit it has, or '1' for a pure number."""

    unit_of: str
    doc: str


@dataclass(frozen=True)
class Mart:
    """One question, its grain, the columns it makes (others are columns of `points`) and the query that answers it."""

    name: str
    question: str
    grain: str
    columns: dict[str, Made]
    sql: str


@cache
def marts() -> dict[str, Mart]:
    """Every mart by name, in alphabetical order."""
    files = (file for file in resources.files("analysis").joinpath("sql").iterdir() if file.name.endswith(".sql"))
    return {mart.name: mart for mart in (_parse(file.name, file.read_text("utf-8")) for file in sorted(files, key=str))}


def _parse(file_name: str, sql: str) -> Mart:
    header = [match for line in sql.splitlines() if (match := HEADER_LINE.fullmatch(line))]
    says = {match["key"]: match["text"] for match in header if match["unit"] is None}
    made = {match["key"]: Made(match["unit"], match["text"]) for match in header if match["unit"] is not None}
    return Mart(file_name.removesuffix(".sql"), says["question"], says["grain"], made, sql)
