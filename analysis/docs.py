"""`python -m analysis.docs`: write docs/keys.md, results.md and queries.md from what the code says of itself."""

# ruff: noqa: E501 (a command on a page is one line)

from __future__ import annotations

import ast
import inspect
import itertools
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from analysis.marts import Mart, marts
from core.checks import ruled_fields
from core.columns import Column
from core.keys import fields_of, is_record
from core.params import Point

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

## points: what it came to

{points}

## series

`scenario` counts the scenarios of the plan.

{series}
"""

KEYS_PAGE = """# Keys

A value that breaks its rule is refused before anything is written: exit 2, and one line that names the key, the rule, the
value and the way out. So is one of another type, and a null where the type does not say `null`. The same holds on the
command line, for every value of an axis (`axes.KEY=[...]`), in a file of `conf/`, and for `replace()` in Python. Numbers
are finite; unit `1` is a pure number or a count; quantities may have other units (`churn_hz=400/h`, `duration_s=7d`).

This page is written by `python -m analysis.docs` from the rules beside the fields. What a kernel, a workload and a host
are is in [kernels.md](kernels.md), [workloads.md](workloads.md) and [prices.md](prices.md). Rules that two keys make
together, such as `possible_cpus` at least `cpus`, are told when they are broken.
{sections}
"""
TITLES = {  # prefix of keys -> heading
    "": "A point",
    "kernel.": "A kernel profile",
    "kernel.structs.": "Its structs, sizeof()",
    "workload.": "A workload",
    "host.": "A host",
    "cluster.": "Where tasks run",
    "vm.": "Virtual machines",
    "refine.": "Refinement: `+experiment=crossover`",
}
OWN_FILES = {  # class of keys that are no point's -> the file of conf/ that explains them
    "RunKeys": "config.yaml",
    "Cluster": "cluster/_policy.yaml",
    "Vm": "vm/auto.yaml",
    "Refine": "experiment/crossover.yaml",
}
TYPES = {
    "int": "whole number",
    "float": "number",
    "bool": "true, false",
    "str": "text",
    "None": "null",
    "Any": "values",
}

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
        inputs=_table(("column", "type", "meaning"), ((f"`{name}`", *said) for name, said in _said(Point).items())),
        points=_columns(COLUMNS),
        series=_columns(SERIES_COLUMNS),
    )


def queries() -> str:
    """docs/queries.md."""
    from analysis.db import GRID

    return QUERIES.format(grid=", ".join(f"`{axis}`" for axis in GRID), marts="\n\n".join(map(_mart, marts().values())))


def keys() -> str:
    """docs/keys.md."""
    from sweep.config.schema import PLANNED, RunKeys  # starts Hydra, which nothing else here needs

    point, run = _sections(Point, "", leave_out=(PLANNED,)), _sections(RunKeys, "", "The run")
    return KEYS_PAGE.format(sections="".join([*point, *run]))


def _sections(cls: type, prefix: str, title: str = "", leave_out: tuple[str, ...] = ()) -> Iterator[str]:
    """Yield a heading and a table for the keys of a dataclass, then for those of each that is inside of it."""
    said, rows = _said(cls), []
    for name, field in ruled_fields(cls).items():
        if field.inner is None and name not in leave_out:
            path = f"{prefix}{name}" + (".NAME" if field.many else "")
            kind, meaning = said[name]
            may_be = str(field.rule) if field.rule else ""
            why = field.rule.why if field.rule else ""
            rows.append((f"`{path}`", kind, may_be, field.rule.unit_of(name) if field.rule else "", meaning, why))
    if rows:
        head = ("key", "type", "may be", "unit", "meaning", "why no other")
        yield f"\n## {title or TITLES.get(prefix, f'`{prefix[:-1]}`')}\n\n{_table(head, rows)}\n"
    alike: dict[type, list[str]] = {}
    for name, field in ruled_fields(cls).items():
        if field.inner is not None:
            alike.setdefault(field.inner, []).append(f"{name}.NAME" if field.many else name)
    for inner, names in alike.items():
        yield from _sections(inner, f"{prefix}{names[0] if len(names) == 1 else 'NAME'}.")


def _said(cls: type) -> dict[str, tuple[str, str]]:
    """Type and meaning of each field of a dataclass, from its own comment or from that of the file with its value."""
    file = OWN_FILES.get(cls.__name__)
    text = (DOCS.parent / "conf" / file).read_text("utf-8") if file else ""
    values = dict(re.findall(r"^ *(\w+):[^#\n]*# (.*)$", text, re.MULTILINE))
    nulls = {name for name, declared in fields_of(cls).items() if declared.own} if is_record(cls) else set[str]()
    return {
        name: (_type(kind).removeprefix("dict of ") + (", null" if name in nulls else ""), doc or values.get(name, ""))
        for name, kind, doc in _fields(cls)
    }


def _type(annotation: str) -> str:
    """A type in words: 'number, null' of `float | None`."""
    if inner := re.fullmatch(r"(list|dict)\[(?:str, )?(.*)\]", annotation):
        return f"{inner[1]} of {_type(inner[2])}"
    return ", ".join(TYPES.get(each, each) for each in annotation.split(" | "))


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
    (DOCS / "keys.md").write_text(keys(), "utf-8")
    (DOCS / "results.md").write_text(results(), "utf-8")
    (DOCS / "queries.md").write_text(queries(), "utf-8")
