"""What the rows say, in one sentence each. Every name and figure in a sentence comes from the run."""

from __future__ import annotations

from analysis.answers import Answers, Row


def memory(ask: Answers) -> str:
    """Which design loses most and which least where CPUs and churn are largest."""
    rows = ask.rows("""
        select * from memory_overhead where setting = $setting
        qualify cpus = max(cpus) over () and churn_hz = max(churn_hz) over ()
        order by lost_bytes_end, design
    """)
    if not rows:
        return "No design that accounts was swept."
    least, most = rows[0], rows[-1]
    where = f"At {most['cpus']} CPUs and {most['churn_hz']:g} Hz"
    if least["lost_bytes_end"] == most["lost_bytes_end"]:
        return f"{where} every design loses {_bytes(ask, most)}."
    return (
        f"{where} {most['design']} loses {_bytes(ask, most)}, {least['design']} {_bytes(ask, least)}"
        f"{_times(most['lost_bytes_end'], least['lost_bytes_end'])}."
    )


def dying(ask: Answers) -> str:
    """How many dying memcgs the worst design has, and which designs have none."""
    rows = ask.rows("""
        select design, max(dying_memcgs_end) as dying_memcgs_end from memory_overhead
        where setting = $setting group by all order by all
    """)
    none = [row["design"] for row in rows if row["dying_memcgs_end"] == 0]
    most = max(rows, key=lambda row: row["dying_memcgs_end"])
    if len(none) == len(rows):
        return "No design leaves a dying memcg."
    count = ask.say("memory_overhead", "dying_memcgs_end", most["dying_memcgs_end"])
    return f"{most['design']} ends with up to {count}; {_listed(none) or 'no design'} with none."


def atomics(ask: Answers) -> str:
    """The cheapest and dearest design at the largest batch, and what batching saves the dearest."""
    rows = ask.rows("""
        select design, batch, avg(atomics_per_page_charge) as atomics_per_page_charge from atomic_cost
        where setting = $setting group by design, batch
        qualify batch in (max(batch) over (), min(batch) over ())
        order by batch desc, atomics_per_page_charge
    """)
    batch = rows[0]["batch"]
    here = [row for row in rows if row["batch"] == batch]
    least, most = here[0], here[-1]
    return (
        f"At batch {batch} {least['design']} spends {_atomics(ask, least)} per page charge, "
        f"{most['design']} {_atomics(ask, most)}{_times(most['atomics_per_page_charge'], least['atomics_per_page_charge'])}."
    )


def crossover(ask: Answers) -> str:
    """For each measure, the design that wins most cells, and from where on another does."""
    rows = ask.rows("""
        select measure, best_design, count(*) as cells, sum(count(*)) over (partition by measure) as of_cells,
               min(cpus) as from_cpus
        from crossover where setting = $setting group by measure, best_design order by measure, cells desc, best_design
    """)
    said = []
    for measure in dict.fromkeys(row["measure"] for row in rows):
        wins = [row for row in rows if row["measure"] == measure]
        shares = (
            f"{row['best_design']} in {row['cells']} of {row['of_cells']} cells (from {row['from_cpus']} CPUs)" for row in wins
        )
        only = f"{wins[0]['best_design']} everywhere"
        said.append(f"least {measure}: {only if len(wins) == 1 else ', '.join(shares)}")
    return _sentence("; ".join(said))


def batch(ask: Answers) -> str:
    """The batch that is enough for every design at every CPU count, and what it saves over the smallest."""
    rows = ask.rows("""
        select design, max(batch) as batch, min(batch) as least, any_value(smallest_batch) as smallest_batch,
               avg(saved_share) as saved_share
        from batch_choice where setting = $setting group by all order by batch desc, design
    """)
    said = (
        f"{row['design']} needs {row['batch']}" + (f", saving {row['saved_share']:.0%} over batch {row['smallest_batch']}"
        if row["batch"] > row["smallest_batch"] and row["saved_share"] is not None else "")
        for row in rows
    )
    return _sentence("; ".join(said))


def usual_batch(ask: Answers) -> int:
    """The swept batch nearest to the base config's."""
    [row] = ask.rows("""
        select distinct batch, abs(batch - (select value::int from manifest where key = 'config.batch')) as distance
        from points where setting = $setting order by distance, batch limit 1
    """)
    return int(row["batch"])


def _bytes(ask: Answers, row: Row) -> str:
    return ask.say("memory_overhead", "lost_bytes_end", row["lost_bytes_end"])


def _atomics(ask: Answers, row: Row) -> str:
    return ask.say("atomic_cost", "atomics_per_page_charge", row["atomics_per_page_charge"])


def _times(more: float, less: float) -> str:
    return f": {more / less:.3g} times" if less > 0 else ""


def _listed(names: list[str]) -> str:
    return " and ".join(filter(None, [", ".join(names[:-1]), *names[-1:]]))


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:] + "."
