"""What the rows say, in one sentence each, and nothing where there are none. Every name and figure is the run's.

Sentences speak of the point nearest to the configured one, leave out what ran out of memory, and say which designs are
not told apart (measures.TIE_RULE).
"""

from __future__ import annotations

import math
from itertools import groupby
from operator import itemgetter

from analysis.answers import Answer, Answers
from analysis.measures import title
from analysis.units import three_digits


def memory(ask: Answers) -> str:
    """Which design holds most for gone memcgs and which least."""
    return _extremes(ask, "dead_bytes_end", "holds", "for gone memcgs")


def dying(ask: Answers) -> str:
    """Which design leaves most dying memcgs and which least."""
    return _extremes(ask, "dying_memcgs_end", "leaves", "dying memcgs")


def atomics(ask: Answers) -> str:
    """The dearest and the cheapest design in atomics."""
    return _extremes(ask, "atomics_per_page_charge", "spends", "atomics per page charge and its uncharge")


def time(ask: Answers) -> str:
    """The dearest and the cheapest design per object, with the dearest's band of prices and knee."""
    rows = _fitting(ask, "ns_per_object")
    said = _extremes(ask, "ns_per_object", "costs", "per object")
    if not said:
        return ""
    most = rows[-1]
    low, high, alone = (
        ask.say("ns_per_object", most[f"ns_per_object{end}"]) for end in ("_low", "_high", "_uncontended")
    )
    knee = most["knee_cpus"]
    saturates = f"; its busiest line saturates at {knee:.0f} CPUs" if knee and math.isfinite(knee) else ""
    return (
        f"{said} Prices of {most['host_prices']}, grade {most['host_grade']}, every CPU charging: {most['design']} "
        f"{low} to {high} by their band, {alone} alone{saturates}."
    )


def debate(ask: Answers) -> str:
    """Who holds least for gone memcgs, spends least time and removes a cgroup with least work."""
    said = []
    for column in ("dead_bytes_end", "total_bytes_end", "ns_per_object", "offline_work_us"):
        rows = _fitting(ask, column)
        if len(rows) > 1:
            names = _listed([rows[0]["design"], *_tied(ask, column, rows[0]["design"], rows)])
            said.append(f"least {title(column)}: {names} ({_figure(ask, column, rows[0])})")
    return f"{_where(ask)} {'; '.join(said)}." if said else ""


def pareto(ask: Answers) -> str:
    """Which designs nobody should choose, there and everywhere."""
    there = {row["design"]: row for row in ask.at_point("pareto")}
    rows = [there[name] for name in ask.axis("design") if name in there]
    beaten = [f"{row['design']} (beaten by {_listed(row['dominated_by'])})" for row in rows if row["dominated_by"]]
    if len(rows) < 2:
        return ""
    everywhere = ask.rows("""
        select design from pareto where setting = $setting group by design having min(len(dominated_by)) > 0 order by 1
    """)
    always = f"; at no point of the grid: {_listed([row['design'] for row in everywhere])}" if everywhere else ""
    nobody = _listed(beaten) if beaten else "none is beaten in memory, atomics and time at once"
    return f"{_where(ask)} nobody should choose: {nobody}{always}."


def prices(ask: Answers) -> str:
    """Where the atomic reference matters and what remedies give back; nothing where no two designs differ in it."""
    rows = ask.rows(
        "from prices where setting = $setting and batch = $batch and cpus = $cpus order by all",
        batch=ask.point.batch,
        cpus=ask.point.cpus,
    )
    said = []
    for row in rows:
        span = " to ".join(dict.fromkeys(str(row[end]) for end in ("matters_from_cpus", "matters_to_cpus") if row[end]))
        matters = f"costs over 5 % more at {span} CPUs" if span else "never costs 5 % more"
        refs = _figure(ask, "percpu_gives_back_ns", row)
        share = "" if row["dearer"] is None else f" ({row['dearer']:.0%})"
        batched = row["batching_gives_back_ns"] is not None
        batching = f" and batching {_figure(ask, 'batching_gives_back_ns', row)}" if batched else ""
        said.append(
            f"on {row['host_prices']} the atomic of {row['atomic_design']} {matters}; at {_cpus(row['cpus'])}, "
            f"batch {row['batch']}, per-CPU references give back {refs}{share}{batching} per page charge"
        )
    return _sentence("; ".join(said)) if said else ""


def best_by_cpus(ask: Answers) -> str:
    """For each measure the best design by CPU count, at the configured batch and churn."""
    rows = ask.rows(
        """
        select measure, cpus, best_design, tied from crossover
        where setting = $setting and batch = $batch and churn_hz = $churn_hz order by measure, cpus
        """,
        batch=ask.point.batch,
        churn_hz=ask.point.churn_hz,
    )
    said = []
    for measure, cells in groupby(rows, key=itemgetter("measure")):
        spans = [(names, list(span)) for names, span in groupby(cells, key=lambda row: _or(ask, row))]
        stretches = (
            f"{names} at {span[0]['cpus']}" + (f" to {span[-1]['cpus']}" if len(span) > 1 else "")
            for names, span in spans
        )
        where = f"{spans[0][0]} at every CPU count" if len(spans) == 1 else f"{', '.join(stretches)} CPUs"
        said.append(f"least {title(measure)}: {where}")
    if not said:
        return ""
    return f"At batch {ask.point.batch} and {three_digits(ask.point.churn_hz)} Hz {'; '.join(said)}."


def batch(ask: Answers) -> str:
    """The batch that is enough for each design at the configured CPU count and churn, what it saves and holds."""
    if len(ask.axis("batch")) == 1:
        return ""
    rows = ask.rows(
        """
        select batch, list(design order by design) as designs, min(saved_share) as least, max(saved_share) as most,
               max(stocked_bytes_mean) as stocked, (select min(batch) from cells where setting = $setting) as smallest
        from batch_choice where setting = $setting and cpus = $cpus and churn_hz = $churn_hz and enough
        group by batch order by batch
        """,
        cpus=ask.point.cpus,
        churn_hz=ask.point.churn_hz,
    )
    said = []
    for row in rows:
        shares = dict.fromkeys(f"{share:.0%}" for share in (row["least"], row["most"]) if share is not None)
        saving = f", saving {' to '.join(shares)} of the atomics of batch {row['smallest']}" if shares else ""
        held = f" and holding {ask.say('stocked_bytes_mean', row['stocked'])} in stocks" if row["stocked"] else ""
        more = row["batch"] > row["smallest"]
        said.append(f"{row['batch']} for {_listed(row['designs'])}{saving if more else ''}{held if more else ''}")
    where = f"At {_cpus(ask.point.cpus)} and {three_digits(ask.point.churn_hz)} Hz"
    return f"{where} a batch is enough within 5 % of the fewest atomics: {'; '.join(said)}." if said else ""


def upgrade(ask: Answers) -> str:
    """What going from each kernel to the next gives back, on the same events; nothing where one kernel was swept."""
    said = [
        f"from {row['from_kernel']} ({row['from_design']}) to {row['to_kernel']} ({row['to_design']}) "
        f"{ask.say('dead_bytes_end', row['given_back_bytes'], row['given_back_bytes_pm'])}"
        for row in ask.upgrades
    ]
    return f"{_where(ask, with_batch=False)} dead memory given back: {'; '.join(said)}." if said else ""


def _extremes(ask: Answers, column: str, does: str, of_what: str) -> str:
    """Most and least of a column at the configured point, by how much, and what is not told apart from the least."""
    rows = _fitting(ask, column)
    out = [row["design"] for row in ask.cells if row["out_of_memory"]]
    runs_out = f" {_listed(out)} {'runs' if len(out) == 1 else 'run'} out of the host's memory there." if out else ""
    if not rows:
        return runs_out.strip()
    least, most = rows[0], rows[-1]
    if len(rows) == 1:
        return f"{_where(ask)} {least['design']} {does} {_figure(ask, column, least)} {of_what}.{runs_out}"
    if not ask.told.get((column, most["design"], least["design"]), 0):
        return f"{_where(ask)} no two designs are told apart: {_figure(ask, column, least)} {of_what}.{runs_out}"
    tied = _tied(ask, column, least["design"], rows)
    close = f"; {_listed(tied)} {'is' if len(tied) == 1 else 'are'} not told apart from it" if tied else ""
    return (
        f"{_where(ask)} {most['design']} {does} {_figure(ask, column, most)} {of_what}, {least['design']} "
        f"{_figure(ask, column, least)}{_times(most[column], least[column])}{close}.{runs_out}"
    )


def _fitting(ask: Answers, column: str) -> list[Answer]:
    """Cells at the configured point whose host has the memory, least first."""
    rows = [row for row in ask.cells if row[column] is not None and not row["out_of_memory"]]
    return sorted(rows, key=lambda row: (row[column], row["design"]))


def _tied(ask: Answers, measure: str, best: str, rows: list[Answer]) -> list[str]:
    """The designs of `rows` that are not told apart from `best`, in the order of the registry."""
    here = {row["design"] for row in rows} - {best}
    return [name for name in ask.axis("design") if name in here and ask.told.get((measure, name, best)) == 0]


def _or(ask: Answers, row: Answer) -> str:
    names = [name for name in ask.axis("design") if name == row["best_design"] or name in row["tied"]]
    return " or ".join(names)


def _where(ask: Answers, *, with_batch: bool = True) -> str:
    """'At 64 CPUs, batch 64 and 0.01 Hz'."""
    batch_too = f", batch {ask.point.batch}" if with_batch else ""
    return f"At {_cpus(ask.point.cpus)}{batch_too} and {three_digits(ask.point.churn_hz)} Hz"


def _figure(ask: Answers, column: str, row: Answer) -> str:
    return ask.say(column, row[column], row.get(f"{column}_pm"))


def _times(more: float, less: float) -> str:
    return f": {three_digits(more / less)} times" if less > 0 else ""


def _cpus(n: int) -> str:
    return f"{n} CPU{'s' * (n != 1)}"


def _listed(names: list[str]) -> str:
    return " and ".join(filter(None, [", ".join(names[:-1]), *names[-1:]]))


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:] + "."
