"""Runs made of a few given rows, in the layout that a sweep lands."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

POINT = {
    "point_id": "p", "scenario_id": "s", "kernel": "linux-5.2", "workload": "web_frontend", "host": "milan",
    "design": "page_ref", "cpus": 8, "batch": 32, "churn_hz": 0.1, "depth": 1, "cgroup_version": 2, "seed": 1,
    "replicate": 0, "stock": True, "possible_cpus": None,
    "dying_memcgs_end": 0, "dying_memcgs_mean": 0.0, "dangling_kmem_caches_end": 0, "lost_bytes_end": 0,
    "total_bytes_end": 0, "memory_bytes_live_slab_objects": 0, "memory_bytes_dead_memcg_struct": 0, "life_id": "l",
    "page_charges": 100, "page_uncharges": 100, "counter_atomics": 0, "refcount_atomics": 0, "percpu_ops": 0,
    "lock_acquisitions": 0, "stock_hits": 0, "stock_drains": 0, "atomics_per_page_charge": 0.0,
}
COMPLETE = {"state": "complete"}
Rows = Sequence[Mapping[str, Any]]


@pytest.fixture
def land(tmp_path: Path) -> Callable[..., Path]:
    """Write rows as a run of a sweep: each is POINT but for what is given; returns the run's folder."""

    def _land(points: Rows, name: str = "run", manifest: Mapping[str, Any] = COMPLETE, **tables: Rows) -> Path:
        run = tmp_path / name
        files = []
        for table, rows in ({"points": [POINT | dict(row) for row in points]} | tables).items():
            if rows:
                (run / table).mkdir(parents=True)
                pq.write_table(pa.Table.from_pylist(list(rows)), run / table / "00000.parquet")
                files.append({"path": f"{table}/00000.parquet", "rows": len(rows)})
        (run / "manifest.json").write_text(json.dumps({"run_id": name, "files": files} | manifest))
        return run

    return _land
