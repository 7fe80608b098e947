"""One run: where it is kept, what is left of it to do, and what it leaves behind."""

from __future__ import annotations

import json
import os
import platform
import shlex
import sys
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from hashlib import blake2b
from typing import Any

from sweep import executors, lock
from sweep.compact import TornPartError, compact
from sweep.engine import Growing, Job, Outcome, Policy, drive
from sweep.errors import FAILED
from sweep.estimate import seconds
from sweep.progress import Progress, say
from sweep.ranges import missing
from sweep.store import MANIFEST, PARTS, Store
from sweep.version import commit, core_digest, versions

LISTED = 20  # failed points that are listed on stderr
NOT_IDENTITY = ("out", "plan", "cluster")  # keys that decide where and how, not what


def run_id(config: Mapping[str, Any], inputs: str) -> str:
    """Name a run by what it computes: 12 hex digits of its config, its other inputs and the core that simulates it."""
    what = {key: value for key, value in config.items() if key not in NOT_IDENTITY}
    content = json.dumps([what, inputs, core_digest()], sort_keys=True)
    return blake2b(content.encode(), digest_size=6).hexdigest()


def run(job: Job, config: Mapping[str, Any], experiment: str) -> int:
    """Do what is left of a run and print its folder; return the exit status."""
    name = run_id(config, job.inputs)
    root = f"{config['out'].rstrip('/')}/{experiment}/{name}"
    store = Store(root)
    with lock.held(store):
        manifest = store.manifest()
        if manifest is not None and manifest["state"] == "complete" and _whole(store, manifest):
            store.delete_folder(PARTS)
            say("nothing left to do")
            status = 0
        else:
            status = _work(job, config, store, {"run_id": name, "experiment": experiment})
    print(root, flush=True)
    return status


def show_plan(job: Job, cluster: Mapping[str, Any]) -> int:
    """Print what a run would be, and how long it should take; return the exit status."""
    cores = 1 if cluster["kind"] == "inline" else cluster["cores"] or os.cpu_count() or 1
    positions = job.positions(nodes=1)
    took = seconds(job, positions, cores)
    print(f"points      {job.count():,}")
    print(f"scenarios   {-(-positions // max(job.grains)):,}")
    print(f"tasks       about {max(2 * cores, round(took * cores / cluster['task_s'])):,}, of {cluster['task_s']:g} s each")
    print(f"time        about {took:,.0f} s on {cores} cores, after a start of some seconds")
    return 0


def _work(job: Job, config: Mapping[str, Any], store: Store, names: dict[str, Any]) -> int:
    began, began_at = time.monotonic(), datetime.now(UTC)
    executor = executors.start(config["cluster"], job, store.root, core_digest())
    try:
        total = job.positions(len(executor.nodes))
        manifest = names | {
            "state": "running",
            "command": shlex.join(sys.orig_argv),
            "config": config,
            "core": core_digest(),
            "commit": commit(),
            "versions": versions(),
            "driver": platform.node(),
            "nodes": executor.nodes,
            "profiles": {key: {"name": config[key]["name"], "source": config[key].get("source")} for key in ("kernel", "workload", "host")},
            "positions": total,
            "started_at": began_at.isoformat(),
        }
        store.write_manifest(manifest)
        outcome = Outcome()
        policy = Policy(**{key: config["cluster"][key] for key in ("task_s", "in_flight", "retries", "max_failed")})
        while True:
            done = store.parts(job.tables[-1])
            todo = missing(done, total)
            with Progress(total, total - len(todo)) as progress:
                drive(job, todo, executor, policy, progress, outcome)
            if outcome.signal is not None or outcome.fatal is not None:
                files = []
                break
            if isinstance(job, Growing) and (longer := job.extended(store)) is not None:
                job, total = longer, longer.positions(len(executor.nodes))
                executor.serve(job)
                continue
            try:
                files = compact(store, job.tables, max(job.grains), store.parts(job.tables[-1]))
                break
            except TornPartError as torn:
                say(f"{torn}; it is done again")
                store.delete(torn.path)
    finally:
        executor.close()
    state = "stopped" if outcome.signal or outcome.fatal else "partial" if outcome.failed else "complete"
    store.write_manifest(manifest | {
        "state": state,
        "positions": total,
        "files": files,
        "rows": {table: sum(f["rows"] for f in files if f["path"].startswith(f"{table}/")) for table in job.tables},
        "failed": [{"settings": job.settings(at), "reason": why} for at, why in sorted(outcome.failed.items())],
        "wall_s": time.monotonic() - began,
        "simulation_s": outcome.simulation_s,
        "tasks": outcome.tasks,
        "ended_at": datetime.now(UTC).isoformat(),
    })
    if state == "complete":
        store.delete_folder(PARTS)
    return _report(job, outcome)


def _whole(store: Store, manifest: Mapping[str, Any]) -> bool:
    return all(store.size(file["path"]) == file["bytes"] for file in manifest["files"])


def _report(job: Job, outcome: Outcome) -> int:
    """Say how a run ended, and return its exit status."""
    for at, why in sorted(outcome.failed.items())[:LISTED]:
        say(f"failed: {dict(job.settings(at))}: {why}")
    if len(outcome.failed) > LISTED:
        say(f"... and {len(outcome.failed) - LISTED} more, in {MANIFEST}")
    if outcome.signal is not None:
        say("stopped; the same command resumes")
        return outcome.signal
    if outcome.fatal is not None:
        say(outcome.fatal)
        return FAILED
    if outcome.failed:
        say(f"{len(outcome.failed)} points failed, the rest landed; the same command tries them again")
        return FAILED
    return 0
