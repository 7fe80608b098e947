"""Questions that every engine answers by itself: `questions.py ENGINE QUESTION RUN` prints CPU-s, MiB and figures."""

from __future__ import annotations

import json
import resource
import sys

MEAN = ("design", "cpus", "lost_bytes_end")
PAIRED = ("design", "scenario_id", "cpus", "batch", "shared_atomics")
MEDIAN = ("design", "cpus", "batch", "churn_hz", "ns_per_object")
SQL = {
    "mean": "select avg(lost_bytes_end) from points group by design, cpus order by design, cpus",
    "paired": """select avg(p.shared_atomics - f.shared_atomics)
                 from points as p join points as f using (scenario_id, cpus, batch)
                 where f.design = 'unaccounted' group by p.design order by p.design""",
    "median": """select median(ns_per_object) from points group by design, cpus, batch, churn_hz
                 order by design, cpus, batch, churn_hz""",
}


def duckdb(run):
    """Return what answers a question over the views of `analysis`."""
    from analysis.db import connect
    from analysis.run import open_run

    con = connect(open_run(run))
    return lambda question: [figure for (figure,) in con.execute(SQL[question]).fetchall()]


def pandas(run):
    """Return the same in pandas."""
    import pandas as pd

    def read(columns):
        return pd.read_parquet(f"{run}/points", columns=list(columns))

    def mean():
        return read(MEAN).groupby(["design", "cpus"]).lost_bytes_end.mean()

    def paired():
        points = read(PAIRED)
        floor = points[points.design == "unaccounted"].drop(columns="design")
        pairs = points.merge(floor, on=["scenario_id", "cpus", "batch"], suffixes=("", "_floor"))
        return (pairs.shared_atomics - pairs.shared_atomics_floor).groupby(pairs.design).mean()

    def median():
        return read(MEDIAN).groupby(["design", "cpus", "batch", "churn_hz"]).ns_per_object.median()

    asks = {"mean": mean, "paired": paired, "median": median}
    return lambda question: asks[question]().sort_index().to_list()


def polars(run):
    """Return the same in Polars, lazily."""
    import polars as pl

    def mean(points):
        return points.group_by("design", "cpus").agg(pl.col("lost_bytes_end").mean().alias("figure"))

    def paired(points):
        floor = points.filter(pl.col("design") == "unaccounted")
        floor = floor.select("scenario_id", "cpus", "batch", pl.col("shared_atomics").alias("floor"))
        pairs = points.join(floor, on=["scenario_id", "cpus", "batch"])
        return pairs.group_by("design").agg((pl.col("shared_atomics") - pl.col("floor")).mean().alias("figure"))

    def median(points):
        keys = ["design", "cpus", "batch", "churn_hz"]
        return points.group_by(keys).agg(pl.col("ns_per_object").median().alias("figure"))

    asks = {"mean": mean, "paired": paired, "median": median}

    def ask(question):
        found = asks[question](pl.scan_parquet(f"{run}/points/*.parquet")).collect(engine="streaming")
        keys = [name for name in found.columns if name != "figure"]
        return found.sort(keys)["figure"].to_list()

    return ask


def cpu_s():
    """Return the CPU-seconds of this process so far."""
    spent = resource.getrusage(resource.RUSAGE_SELF)
    return spent.ru_utime + spent.ru_stime


if __name__ == "__main__":
    engine, question, run = sys.argv[1:]
    ask = {"duckdb": duckdb, "pandas": pandas, "polars": polars}[engine](run)
    began = cpu_s()
    figures = ask(question)
    took = cpu_s() - began
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"cpu_s": took, "peak_mib": peak, "figures": [float(figure) for figure in figures]}))
