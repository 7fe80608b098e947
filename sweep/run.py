"""One run: where it is kept, what is left of it to do, and what it leaves behind."""

from __future__ import annotations

import json
import os
import platform
import shlex
import sys
import time
from collections.abc import Mapping
from contextlib import redirect_stdout, suppress
from datetime import UTC, datetime
from functools import partial
from hashlib import blake2b
from typing import Any

from sweep.engine import executors, lock, usable
from sweep.engine.compact import compact
from sweep.engine.estimate import seconds
from sweep.engine.loop import (
    Executor,
    Foretelling,
    Growing,
    Job,
    Measuring,
    Outcome,
    Policy,
    Telling,
    drive,
    unwritable,
)
from sweep.engine.progress import Progress, say
from sweep.engine.ranges import missing
from sweep.engine.signals import Stopped, postponed
from sweep.engine.store import Store, TornPartError
from sweep.engine.warm import is_compiled
from sweep.errors import FAILED, ClusterError, remarks
from sweep.folder import MANIFEST, PARTS, PROGRESS, disjoint
from sweep.version import commit, core_digest, package_versions, simulation_digest

COUNTED = 1_000_000  # positions among which points are counted at once
LISTED = 20  # failed points that are listed on stderr
NOT_IDENTITY = ("out", "plan", "cluster")  # keys that decide where and how, not what


def run_id(config: Mapping[str, Any], inputs: str) -> str:
    """Name a run by what it computes: 12 hex digits of its config, its other inputs and the code that simulates it."""
    what = {key: value for key, value in config.items() if key not in NOT_IDENTITY}
    content = json.dumps([what, inputs, simulation_digest()], sort_keys=True)
    return blake2b(content.encode(), digest_size=6).hexdigest()


def run(job: Job, config: Mapping[str, Any], experiment: str) -> int:
    """Do what is left of a run and print its folder; return the exit status."""
    name = run_id(config, job.inputs)
    root = f"{config['out'].rstrip('/')}/{experiment}/{name}"
    store = Store(root)
    with lock.held(store):
        names = {"run_id": name, "experiment": experiment}
        if _whole(job, config, store, names):
            store.delete_folder(PARTS)
            for line in [*remarks(), "nothing left to do"]:
                say(line)
            status = 0
        else:
            with redirect_stdout(sys.stderr):  # Ray prints what it thinks of its nodes; stdout is for the folder
                status = _work(job, config, store, names)
    try:
        print(root, flush=True)
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # Python would try again when it ends
        say(f"cannot write to stdout ({error.strerror}); the run is at {root}")
        return FAILED
    return status


def show_plan(job: Job, cluster: Mapping[str, Any]) -> int:
    """Print what a run would be, and how long it should take; return the exit status."""
    for line in remarks():
        say(line)
    cores = 1 if cluster["kind"] == "inline" else cluster["cores"] or usable.workers()
    if isinstance(job, Foretelling):
        for name, text in job.foretold(cores):
            print(f"{name:<11} {text}")
        return 0
    positions, task_s = job.positions(nodes=1), cluster["task_s"]
    try:
        took = seconds(job, positions, cores)
    except Exception as error:
        say(f"no estimate, as a point failed, as it would in a run: {type(error).__name__}: {error}")
        return FAILED
    print(f"points      {job.count():,}")
    print(f"scenarios   {-(-positions // max(job.grains)):,}")
    print(f"tasks       about {max(2 * cores, round(took * cores / task_s)):,}, of {task_s:g} s each")
    on = f"{cores} core{'s' * (cores > 1)}"
    print(f"time        about {took:,.{0 if took >= 10 else 1}f} s on {on}, after a start of some seconds")
    return 0


def _work(job: Job, config: Mapping[str, Any], store: Store, names: dict[str, Any]) -> int:
    began, outcome, files = time.monotonic(), Outcome(), list[dict[str, Any]]()
    executor = executors.start_executor(config["cluster"], job, store.root, core_digest())
    for line in remarks():
        say(line)
    manifest = names | _provenance(config, executor.nodes) | {"deterministic": True}
    if isinstance(job, Measuring):
        manifest |= job.about()
    status = None
    try:
        planned = _planned(job, len(executor.nodes))
        store.write_manifest(manifest | planned | {"state": "running"})
        store.tidy(job.tables)
        job, files = _land(job, config["cluster"], store, executor, outcome)
    except Stopped as stop:
        status = stop.status
    except ClusterError as error:
        outcome.fatal = str(error)
    except OSError as error:
        outcome.fatal = unwritable(store.root, error)
    except BaseException:
        with postponed():
            executor.close()
        raise
    with postponed():  # a second signal waits until the manifest says how the run ended
        executor.close()
        state = "stopped" if status or outcome.fatal else "partial" if outcome.failed else "complete"
        ended = {"state": state, "nodes": executor.nodes, "files": files, "wall_s": time.monotonic() - began}
        said = _conclude(job, store, manifest | ended, outcome)
    if status is not None:
        raise Stopped(status)
    return said


def _conclude(job: Job, store: Store, manifest: dict[str, Any], outcome: Outcome) -> int:
    """Write how a run ended, say it, and return the exit status."""
    said = _report(job, outcome)
    with suppress(OSError):  # of a full disk, the user has been told
        store.write_manifest(
            manifest
            | {
                **_planned(job, len(manifest["nodes"])),
                "rows": _rows(job, manifest["files"]),
                "failed": [{"settings": job.settings(at), "reason": why} for at, why in sorted(outcome.failed.items())],
                "simulation_s": outcome.simulation_s,
                "tasks": outcome.tasks,
                "ended_at": datetime.now(UTC).isoformat(),
            }
        )
    with suppress(OSError, ValueError):
        last = json.loads(store.text(PROGRESS))
        store.write(PROGRESS, json.dumps(last | {"state": manifest["state"]}, indent=2).encode())
    if manifest["state"] == "complete":
        store.delete_folder(PARTS)
        if isinstance(job, Telling):
            for line in job.told(store):
                say(line)
    return said


def _land(
    job: Job, cluster: Mapping[str, Any], store: Store, executor: Executor, outcome: Outcome
) -> tuple[Job, list[dict[str, Any]]]:
    """Do every position that is not done, and what a growing job adds; return the job as grown, and its files."""
    policy = Policy(**{key: cluster[key] for key in ("task_s", "in_flight", "retries", "max_failed")})
    while True:
        total, done = job.positions(len(executor.nodes)), store.parts(job.tables[-1])
        todo = missing(disjoint([*done, *((at, at + 1) for at in outcome.failed)]), total)
        if todo:
            keep = partial(store.write, PROGRESS)
            with Progress(total, total - len(todo), keep, compiling=not is_compiled()) as progress:
                drive(job, todo, executor, policy, progress, outcome)
            if outcome.fatal is not None:
                return job, []
            continue  # a worker that outlived an earlier driver may have landed what overlaps this one's parts
        try:
            if isinstance(job, Growing) and (longer := job.extended(store)) is not None:
                executor.serve(longer)
                job = longer
                continue
            each = partial(executor.each, retries=policy.retries)
            files = compact(store, job.tables, max(job.grains), done, each)
        except TornPartError as torn:
            say(f"{torn}; it is done again")
            store.forget(job.tables, torn.stretch)
            continue
        store.write_checksums(files)
        return job, files


def _provenance(config: Mapping[str, Any], nodes: list[dict[str, Any]]) -> dict[str, Any]:
    """Return what made the rows of a run, and where."""
    groups = ("kernel", "workload", "host")
    return {
        "command": shlex.join(sys.orig_argv),
        "config": config,
        "core": core_digest(),
        "commit": commit(),
        "versions": package_versions(),
        "driver": platform.node(),
        "nodes": nodes,
        "profiles": {key: {"name": config[key]["name"], "source": config[key].get("source")} for key in groups},
        "started_at": datetime.now(UTC).isoformat(),
    }


def _whole(job: Job, config: Mapping[str, Any], store: Store, names: Mapping[str, Any]) -> bool:
    """Return whether a run is complete and its files are what was written; make a lost manifest of such a run again."""
    manifest = store.manifest()
    if manifest is not None and manifest["state"] == "complete":
        if (path := store.damage(manifest["files"])) is not None:
            say(f"{path} is damaged or gone; the run is done again")
            return False
        return True
    if manifest is not None or any(store.parts(table) for table in job.tables):
        return False
    files = store.landed()
    if files:
        say("every table is there as it was written; its manifest is made again")
        made = {
            "state": "complete",
            **_planned(job, 1),
            "files": files,
            "rows": _rows(job, files),
        }
        store.write_manifest({**names, **_provenance(config, []), **made, "failed": [], "made_again": True})
    return bool(files)


def _planned(job: Job, nodes: int) -> dict[str, int | None]:
    """Return how many positions and points a run has; None where that would take long to count."""
    positions = job.positions(nodes)
    return {"positions": positions, "points": job.count() if positions <= COUNTED else None}


def _rows(job: Job, files: list[dict[str, Any]]) -> dict[str, int]:
    return {table: sum(f["rows"] for f in files if f["path"].startswith(f"{table}/")) for table in job.tables}


def _report(job: Job, outcome: Outcome) -> int:
    """Say how a run ended, and return its exit status."""
    for at, why in sorted(outcome.failed.items())[:LISTED]:
        say(f"failed: {dict(job.settings(at))}: {why}")
    if len(outcome.failed) > LISTED:
        say(f"... and {len(outcome.failed) - LISTED} more, in {MANIFEST}")
    if outcome.fatal is not None:
        say(outcome.fatal)
        return FAILED
    if outcome.failed:
        say(f"{len(outcome.failed)} points failed, the rest landed; the same command tries them again")
        return FAILED
    return 0
