"""`python -m analysis.docs`: write docs/results.md and docs/queries.md from what core and sql/ say of themselves."""

# ruff: noqa: E501 (a command on a page is one line)

from __future__ import annotations

import ast
import inspect
import itertools
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from analysis.marts import Mart, marts
from core.columns import Column
from core.params import Point
from core.profile import KernelProfile, Structs

DOCS = Path(__file__).resolve().parent.parent / "docs"

RESULTS = """# Results

A run is a folder `<out>/<experiment>/<run_id>`, on a disk or an object store:

- `manifest.json`: the resolved config, code and package versions, nodes, profiles with their sources, timings, failures;
- `points/*.parquet`: one row per point and replicate;
- `series/*.parquet`: one row per sample of a lifecycle, which several points share: `life_id` joins the two.

This page is written by `python -m analysis.docs`; units and meanings are also in the metadata of every Parquet column:

    python -m analysis sql RUN "from units"

Unit `1` is a pure number or a count.

## points: what was asked for

Every key of a point is a column. `kernel`, `workload` and `host` hold the name of the profile; an axis inside one of
them has its config path as column name, such as `workload.lifetime_s`. `scenario_id` is the same wherever the events
are the same: pair designs on it, and noise cancels. `point_id` names the point by its content.

{inputs}

## Keys of a kernel profile

A profile of `conf/kernel/` has all of them; any may be set or swept (`kernel.charge_batch_pages=16`). See
[kernels.md](kernels.md) for which profiles there are and what each version changed.

{kernel}

Sizes of structs are in bytes:

{structs}

## points: what it came to

{points}

## series

`scenario` counts the scenarios of the plan.

{series}
"""

QUERIES = """# Queries

    python -m analysis sql RUN "select design, cpus, avg(dead_bytes_end) as dead from points group by all order by all"

RUN is the folder or the address of a run, or of an experiment, which means its newest run. `--format` is `table`,
`markdown`, `csv`, `json`, `jsonl`, `line` or `parquet`; `-o FILE` writes a file, `-f FILE` reads the query from one (`-`
is stdin). The dialect is DuckDB's. A query reads what is listed here and nothing else: no file, no network, no change.

| view | one row per |
|---|---|
| `points` | point and replicate: see [results.md](results.md); `setting` is whatever was swept beside {grid}, as text, and `elsewhere` the same without the kernel |
| `series` | sample of a lifecycle; `life_id` joins it to points |
| `designs` | design: its traits |
| `manifest` | leaf of manifest.json: `key` with dots, `value` as text |
| `units` | column of a table: `unit`, `doc` |
| `student_t` | degrees of freedom: `t95`, the two-sided 95 % quantile |
| `figures` | figure of an `+experiment=validate` run |

Each file of `analysis/sql` is one question and a view of that name. A column that is not explained here is the mean of
the column of `points` with that name, over replicates; `X_pm` is half the 95 % interval of the mean X (Student's t), null
where there is one replicate. A column that a run of an older version lacks is null.

Two designs are told apart by one rule, that of `uncertainty`: the 95 % interval of their paired difference lies wholly
beyond 1 % of the larger mean; of a single replicate, whose difference has no interval, the difference itself.

{marts}

## Examples

What does a dying memcg weigh, by component, at the most CPUs?

    python -m analysis sql RUN "select design, component, avg(bytes) as bytes from memory where state = 'dead' and cpus = (select max(cpus) from points) group by all having bytes > 0 order by all"

What would going from one design to another give back?

    python -m analysis sql RUN "select from_design, to_design, cpus, churn_hz, given_back_bytes, given_back_bytes_pm from upgrade order by given_back_bytes desc limit 5"

Which differences are surer than their noise?

    python -m analysis sql RUN "from uncertainty where told <> 0 order by all limit 5"

Which designs should nobody choose, anywhere?

    python -m analysis sql RUN "select design, count(*) filter (dominated_by <> []) as beaten, count(*) as points from pareto group by all order by all"
"""


def results() -> str:
    """docs/results.md."""
    from core.simulate import COLUMNS, SERIES_COLUMNS  # compiles, which nothing else here needs

    return RESULTS.format(
        inputs=_inputs(Point),
        kernel=_inputs(KernelProfile, "kernel."),
        structs=_inputs(Structs, "kernel.structs."),
        points=_columns(COLUMNS),
        series=_columns(SERIES_COLUMNS),
    )


def queries() -> str:
    """docs/queries.md."""
    from analysis.db import GRID

    return QUERIES.format(grid=", ".join(f"`{axis}`" for axis in GRID), marts="\n\n".join(map(_mart, marts().values())))


def _inputs(cls: type, prefix: str = "") -> str:
    """The fields of a record with their comments, which stand behind them or above them."""
    fields = ((f"`{prefix}{name}`", kind, doc) for name, kind, doc in _fields(cls))
    return _table(("column" if not prefix else "key", "type", "meaning"), fields)


def _fields(cls: type) -> Iterator[tuple[str, str, str]]:
    """Yield name, type and comment of each field, as the source has them."""
    source = inspect.getsource(cls)
    lines = source.splitlines()
    for node in ast.parse(source).body[0].body:  # type: ignore[attr-defined]
        if isinstance(node, ast.AnnAssign):
            behind = lines[node.end_lineno - 1][node.end_col_offset :].partition("# ")[2]  # type: ignore[operator]
            above = itertools.takewhile(lambda line: line.strip().startswith("# "), reversed(lines[: node.lineno - 1]))
            doc = behind or " ".join(line.strip()[2:] for line in reversed(list(above)))
            yield ast.unparse(node.target), ast.unparse(node.annotation), doc


def _columns(columns: Mapping[str, Column]) -> str:
    return _table(
        ("column", "unit", "meaning"), ((f"`{name}`", column.unit, column.doc) for name, column in columns.items())
    )


def _mart(mart: Mart) -> str:
    made = _table(
        ("column", "unit of", "meaning"),
        ((f"`{n}`", f"`{made.unit_of}`", made.doc) for n, made in mart.columns.items()),
    )
    return (
        f"### {mart.name}\n\n{mart.question[:1].upper()}{mart.question[1:]}\n{mart.grain[:1].upper()}{mart.grain[1:]}."
        + (f"\n\n{made}" if mart.columns else "")
    )


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    cells = [head, ("---",) * len(head), *rows]
    return "\n".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |" for row in cells)


if __name__ == "__main__":
    (DOCS / "results.md").write_text(results(), "utf-8")
    (DOCS / "queries.md").write_text(queries(), "utf-8")
