"""What the rows say, in one sentence each, and nothing where there are none. Every name and figure is the run's."""

from __future__ import annotations

import math
from itertools import groupby
from operator import itemgetter

from analysis.answers import Answers, Row
from analysis.units import three_digits

TIE = 0.01  # as in sql/crossover.sql: nobody changes a kernel for one per cent


def memory(ask: Answers) -> str:
    """Which design loses most and which least at the most CPUs and the highest churn there."""
    rows = ask.rows("""
        select * from memory_overhead where setting = $setting
        qualify row(cpus, churn_hz) = max(row(cpus, churn_hz)) over ()
        order by lost_bytes_end, design
    """)
    least, most = rows[0], rows[-1]
    where = f"At {_cpus(most['cpus'])} and {three_digits(most['churn_hz'])} Hz"
    if least["lost_bytes_end"] == most["lost_bytes_end"]:
        return f"{where} every design loses {_bytes(ask, most)}."
    return (
        f"{where} {most['design']} loses {_bytes(ask, most)}, {least['design']} {_bytes(ask, least)}"
        f"{_times(most['lost_bytes_end'], least['lost_bytes_end'])}."
    )


def debate(ask: Answers) -> str:
    """Who loses least memory, spends least time and removes a cgroup with least work, at the most CPUs."""
    rows = ask.rows(
        """
        from debate where setting = $setting and batch = $batch and churn_hz = $churn_hz
        and design in (select name from designs where accounts) qualify cpus = max(cpus) over ()
        """,
        batch=ask.usual("batch"),
        churn_hz=ask.usual("churn_hz"),
    )
    if not rows:
        return ""
    said = []
    for what, column in (
        ("memory lost", "lost_bytes_end"),
        ("time per object", "ns_per_object"),
        ("rmdir work", "offline_work_us"),
    ):
        least = min(row[column] for row in rows)
        tied = {row["design"] for row in rows if row[column] - least <= TIE * abs(least)}
        names = _listed([name for name in ask.axis("design") if name in tied])
        said.append(f"least {what}: {names} ({ask.say('debate', column, least)})")
    return f"At {_cpus(rows[0]['cpus'])} {'; '.join(said)}."


def dying(ask: Answers) -> str:
    """Where the most memcgs are dying, and which designs have none anywhere."""
    rows = ask.rows("from memory_overhead where setting = $setting order by dying_memcgs_end desc, design, cpus")
    most, some = rows[0], {row["design"] for row in rows if row["dying_memcgs_end"] > 0}
    if not some:
        return "No design leaves a dying memcg."
    none = [name for name in ask.axis("design") if name not in some]
    count = ask.say("memory_overhead", "dying_memcgs_end", most["dying_memcgs_end"])
    where = f"{_cpus(most['cpus'])} and {three_digits(most['churn_hz'])} Hz"
    return f"{most['design']} has most, {count} at {where}" + (f"; {_listed(none)} none." if none else ".")


def atomics(ask: Answers) -> str:
    """The cheapest and dearest design at the largest batch."""
    rows = ask.rows("""
        select design, batch, avg(atomics_per_page_charge) as figure from atomic_cost
        where setting = $setting group by design, batch qualify batch = max(batch) over () order by figure, design
    """)
    least, most = rows[0], rows[-1]
    dear, cheap = (ask.say("atomic_cost", "atomics_per_page_charge", row["figure"]) for row in (most, least))
    return (
        f"At batch {most['batch']} {most['design']} spends {dear} atomics per page charge and its uncharge, "
        f"{least['design']} {cheap}{_times(most['figure'], least['figure'])}."
    )


def time(ask: Answers) -> str:
    """The cheapest and dearest design per object at the most CPUs, with the dearest's band and knee."""
    rows = ask.rows(
        """
        select design, cpus, host_prices, host_grade, avg(ns_per_object) as ns, avg(ns_per_object_low) as low,
               avg(ns_per_object_high) as high, avg(ns_per_object_uncontended) as alone, min(knee_cpus) as knee
        from ns_per_charge where setting = $setting and batch = $batch group by design, cpus, host_prices, host_grade
        qualify cpus = max(cpus) over () order by ns
    """,
        batch=ask.usual("batch"),
    )
    if not rows:
        return ""
    least, most = rows[0], rows[-1]

    def ns(value: float) -> str:
        return ask.say("ns_per_charge", "ns_per_object", value)

    knee = f"; its busiest line saturates at {most['knee']:.0f} CPUs" if math.isfinite(most["knee"]) else ""
    return (
        f"On {most['host_prices']} (grade {most['host_grade']}), all {most['cpus']} CPUs charging, {most['design']} "
        f"costs {ns(most['ns'])} per object ({ns(most['low'])} to {ns(most['high'])}; {ns(most['alone'])} alone), "
        f"{least['design']} {ns(least['ns'])}{knee}."
    )


def prices(ask: Answers) -> str:
    """Where the atomic reference matters and what remedies give back; nothing where no two designs differ in it."""
    rows = ask.rows(
        """
        from prices where setting = $setting and batch = $batch
        qualify row_number() over (
            partition by host_prices, atomic_design, percpu_design order by percpu_gives_back_ns desc, cpus
        ) = 1
        order by host_prices, atomic_design, percpu_design
        """,
        batch=ask.usual("batch"),
    )
    said = []
    for row in rows:
        span = " to ".join(dict.fromkeys(str(row[end]) for end in ("matters_from_cpus", "matters_to_cpus") if row[end]))
        matters = f"costs over 5 % more at {span} CPUs" if span else "never costs 5 % more"
        refs, batching = (
            ask.say("prices", f"{what}_gives_back_ns", row[f"{what}_gives_back_ns"]) for what in ("percpu", "batching")
        )
        share = "" if row["dearer"] is None else f" ({row['dearer']:.0%})"
        said.append(
            f"on {row['host_prices']} the atomic of {row['atomic_design']} {matters}; at {_cpus(row['cpus'])}, "
            f"batch {row['batch']}, per-CPU references give back {refs}{share} "
            f"and batching {batching} per page charge"
        )
    return _sentence("; ".join(said)) if said else ""


def crossover(ask: Answers) -> str:
    """For each measure the best design by CPU count, where one design is best at most churn rates."""
    rows = ask.rows(
        """
        select measure, cpus, best_design from crossover where setting = $setting and batch = $batch
        group by measure, cpus, best_design
        qualify row_number() over (partition by measure, cpus order by count(*) desc, best_design) = 1
        order by measure, cpus
    """,
        batch=ask.usual("batch"),
    )
    said = []
    for measure, cells in groupby(rows, key=itemgetter("measure")):
        spans = [(design, list(span)) for design, span in groupby(cells, key=itemgetter("best_design"))]
        stretches = (
            f"{design} at {span[0]['cpus']}" + (f" to {span[-1]['cpus']}" if len(span) > 1 else "")
            for design, span in spans
        )
        where = f"{spans[0][0]} everywhere" if len(spans) == 1 else f"{', '.join(stretches)} CPUs"
        said.append(f"least {measure}: {where}")
    return _sentence("; ".join(said))


def batch(ask: Answers) -> str:
    """The batch that is enough for each design at every CPU count and churn, and what it saves over the smallest."""
    rows = ask.rows("""
        with needs as (
            select design, max(batch) as batch, any_value(smallest_batch) as smallest_batch, avg(saved_share) as saved
            from batch_choice where setting = $setting group by design
        )
        select batch, smallest_batch, list(design order by design) as designs, min(saved) as least, max(saved) as most
        from needs group by all order by batch
    """)
    if len(ask.axis("batch")) == 1:
        return ""
    said = []
    for row in rows:
        shares = dict.fromkeys(f"{share:.0%}" for share in (row["least"], row["most"]) if share is not None)
        saving = f", saving {' to '.join(shares)} of the atomics of batch {row['smallest_batch']}"
        said.append(
            f"{row['batch']} for {_listed(row['designs'])}{saving if row['batch'] > row['smallest_batch'] else ''}"
        )
    return f"Enough at every CPU count: {'; '.join(said)}."


def _bytes(ask: Answers, row: Row) -> str:
    return ask.say("memory_overhead", "lost_bytes_end", row["lost_bytes_end"])


def _times(more: float, less: float) -> str:
    return f": {three_digits(more / less)} times" if less > 0 else ""


def _cpus(n: int) -> str:
    return f"{n} CPU{'s' * (n != 1)}"


def _listed(names: list[str]) -> str:
    return " and ".join(filter(None, [", ".join(names[:-1]), *names[-1:]]))


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:] + "."
