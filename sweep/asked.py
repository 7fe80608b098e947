"""What a composed config asks for: checked, made a job of, and run."""

from __future__ import annotations

import importlib
import os
from collections.abc import Mapping
from typing import Any

from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

from sweep import run
from sweep.config import kernels, options, records, schema
from sweep.engine.loop import Job
from sweep.engine.progress import say
from sweep.errors import FAILED, InputError, not_one_of, remark
from sweep.folder import within_reach
from sweep.plan.planner import counterfactual, flat, plan

WITHOUT_EFFECT = {"inline": ("address", "cores", "in_flight", "retries"), "local": ("address",), "ray": ()}
TRUTH_AXES = ("backend", "vm.kernel", "vm.measure")  # keys that stand before the experiment's axes of them
JOBS = {  # modules with a function job(config)
    "validate": "sweep.jobs.validate",
    "calibrate": "sweep.calibrate.job",
    "host": "sweep.jobs.host",
    "sensitivity": "sweep.jobs.sensitivity",
}


def answer(config: DictConfig) -> int:
    """Do what a config asks for; return the exit status. Raises InputError where it asks for what cannot be."""
    missing = sorted(
        OmegaConf.missing_keys(config) | {key for key in schema.every_key() if "." not in key and key not in config}
    )
    if missing:
        raise InputError(f"{missing[0]} must be set (got nothing); give {missing[0]}=VALUE")
    swept = _check_overrides(config)
    _check_groups(config, swept)
    schema.keep_every_rule(config)
    plain: dict[str, Any] = OmegaConf.to_container(config, resolve=True)  # type: ignore[assignment]
    plain["cluster"] = vars(records.build(schema.Cluster, plain["cluster"], "cluster."))
    _check_cluster(plain["cluster"])
    within_reach(plain["out"])
    job = _job(config)
    if plain["plan"] == "only":
        try:
            return run.show_plan(job, plain["cluster"])
        except OSError as error:
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # Python would try again when it ends
            say(f"cannot write to stdout ({error.strerror})")
            return FAILED
    return run.run(job, plain, HydraConfig.get().runtime.choices.get("experiment") or "point")


def _check_overrides(config: DictConfig) -> dict[str, Any]:
    """Refuse what was given on the command line and would not do what it says; return the axes."""
    swept = dict(flat(OmegaConf.to_container(config.axes)))  # type: ignore[arg-type]
    for override in HydraConfig.get().overrides.task:
        key = override.partition("=")[0].lstrip("+")
        if key in swept and not (config.job == "truth" and key in TRUTH_AXES):
            raise InputError(f"{key} must not be set beside axes.{key} (got {override!r}); give axes.{key}=[VALUE]")
        if override.partition("=")[2].strip() == "{}" and OmegaConf.select(config, key):
            raise InputError(
                f"{key} must not be empty (got {override!r}, which changes nothing); ~{key}.NAME removes one entry"
            )
    return swept


def _check_cluster(cluster: Mapping[str, Any]) -> None:
    """Refuse keys of `cluster` that would do nothing where tasks are to run."""
    kind = cluster["kind"]
    given = {override.partition("=")[0].lstrip("+") for override in HydraConfig.get().overrides.task}
    for name in WITHOUT_EFFECT[kind]:
        key = f"cluster.{name}"
        if key in given and cluster[name] is not None:
            raise InputError(
                f"{key} must be left out with cluster={kind}, where it has no effect (got {cluster[name]!r}); "
                f"give cluster={'ray' if name == 'address' else 'local'}, or leave it out"
            )


def _check_groups(config: DictConfig, swept: Mapping[str, Any]) -> None:
    chosen = HydraConfig.get().runtime.choices
    for group in records.GROUPS:
        if not isinstance(one := chosen.get(group), str):
            raise InputError(f"{group} must be one option (got {one or 'several'}); axes.{group}=[...] has several")
    if config.kernel.image and "image" not in (chosen["kernel"], *(swept.get("kernel") or ())):
        raise InputError(
            f"kernel.image must go with kernel=image (got '{config.kernel.image}' alone); add kernel=image"
        )


def _job(config: DictConfig) -> Job:
    if config.job == "truth":
        from sweep.real.truth import truth

        given = [override.partition("=")[0].lstrip("+~") for override in HydraConfig.get().overrides.task]
        return truth(config, load_option, given)
    if config.backend != "model":
        raise InputError(f"backend must be model for job={config.job} (got {config.backend!r}); use +experiment=truth")
    if config.job == "sweep":
        from sweep.jobs.crossover import crossover
        from sweep.jobs.simulation import Simulation

        points = plan(config, load_option)
        if line := counterfactual(points):
            remark(line)
        return crossover(points, vars(OmegaConf.to_object(config.refine))) if config.refine else Simulation(points)
    job: Job = importlib.import_module(JOBS[config.job]).job(OmegaConf.to_container(config, resolve=True))
    return job


def load_option(group: str, name: str) -> Mapping[str, Any]:
    """Return what `group=name` would make of a group, with the command line's other overrides in force."""
    known = GlobalHydra.instance().config_loader().get_group_options(group)
    if name not in known and group == "kernel":
        kernels.profile(name)  # says what there is, if there is none
    elif name not in known:
        raise InputError(not_one_of(f"axes.{group}", name, (option for option in known if option[0] != "_")))
    values: dict[str, Any] = options.composed_with(group, name)[group]
    return values
