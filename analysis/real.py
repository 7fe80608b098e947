"""What a run of real kernels measured, and the model beside them, as sheets."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.resources import files

from analysis.answers import Answers
from analysis.db import connect
from analysis.run import Run
from analysis.sheets import Entry, Estimate, Line, Sheet

HEADS = {  # quantity of sql/real -> what stands over its column; others go by their names
    "dying_memcgs": "dying memcgs",
    "memcg_kmem_caches": "kmem_caches",
    "slab_kib": "Slab",
    "sunreclaim_kib": "SUnreclaim",
    "sreclaimable_kib": "SReclaimable",
    "percpu_kib": "Percpu",
    "accounted_ns": "charged",
    "unaccounted_ns": "not charged",
}
ENDINGS = {"kib": "KiB", "ns": "ns"}  # of quantities -> unit
TABLES_SHOWN = {  # table -> name of the sheet, title, what it says
    "points": (
        "left",
        "What a removed cgroup leaves behind",
        "Grown from before the churn to after it, per cgroup; keep0 is the control, in which nothing is kept.",
    ),
    "calls": ("calls", "Calls of the charge path", "Of each function, per file or pipe made or removed."),
    "costs": ("costs", "Time of an operation", "In a cgroup, and in the root, which is not charged."),
}
INTRO = "±: half the 95 % interval of a mean, Student's t over the n boots or repeats; a mean of one has none."


def sheets_of(run: Run) -> Iterator[Sheet]:
    """Yield a sheet per table that the run of real kernels has rows of: a line per kernel, program, source and CPUs."""
    con = connect(run)
    for table in (table for table in TABLES_SHOWN if table in run.tables()):
        query = files("analysis").joinpath(f"sql/real/{table}.sql").read_text("utf-8")
        line = "setting, source, cpus, item"
        rows = con.sql(f"select *, min(replicates) over (partition by {line}) as n from ({query}) order by all")
        found = [dict(zip(rows.columns, row, strict=True)) for row in rows.fetchall()]
        if not found:
            continue
        quantities = sorted(dict.fromkeys(row["quantity"] for row in found), key=_place)
        lines: dict[tuple[str, tuple[str, ...]], dict[str, Entry]] = {}
        for row in found:
            named = tuple(filter(None, (row["source"], f"{row['cpus']}", row["item"])))
            cells = lines.setdefault((row["setting"], named), dict.fromkeys(quantities, "-"))
            at = {"setting": row["setting"], "cpus": row["cpus"]}
            cells[row["quantity"]] = Estimate(row["quantity"], row["mean"], row["mean_pm"], at=at)
            cells["n"] = f"{row['n']}"
        units = {quantity: ENDINGS.get(quantity.rpartition("_")[2], "1") for quantity in quantities}
        name, title, reading = TABLES_SHOWN[table]
        yield Sheet(
            name=name,
            title=title,
            reading=reading,
            keys=("source", "CPUs", *(["of"] if any(row["item"] for row in found) else [])),
            columns=(*(HEADS.get(quantity, quantity) for quantity in quantities), "n"),
            ask=Answers(con, "", units),
            lines=[Line(named, tuple(cells.values()), section=setting) for (setting, named), cells in lines.items()],
        )


def _place(quantity: str) -> tuple[int, str]:
    """Those that have a head in its order, then others by name."""
    return (list(HEADS).index(quantity) if quantity in HEADS else len(HEADS), quantity)
