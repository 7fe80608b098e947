"""Every column of a result: its type, its unit and what it means. The Parquet schema is made from this."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Column:
    """dtype is a NumPy dtype string; unit is '1' for pure numbers and counts."""

    dtype: str
    unit: str
    doc: str
