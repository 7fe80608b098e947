"""`python -m sweep`: compose a config, make a job of it, run it."""

from __future__ import annotations

import contextlib
import importlib
import io
import os
import sys
from collections.abc import Mapping
from typing import Any

import hydra
from hydra._internal.utils import get_args_parser  # what hydra.main parses with; it has no public name
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from sweep import schema
from sweep.engine import Job
from sweep.errors import BAD_INPUT, InputError, choose_from, one_line
from sweep.planner import plan

JOBS = {"validate": "sweep.validate", "calibrate": "sweep.calibrate"}  # modules with a function job(config)


def main() -> None:
    """Run the command line; exit 0, 1 (points failed), 2 (bad input), 130 (Ctrl-C) or 143 (SIGTERM)."""
    os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra raises what it would print over many lines
    schema.register()
    statuses: list[int] = []

    @hydra.main(version_base="1.3", config_path="../conf", config_name="config")
    def sweep(config: DictConfig) -> None:
        statuses.append(_told(lambda: _run(config)))

    status = _told(lambda: _arguments() or sweep() or 0)
    sys.exit(max([status, *statuses]))


def _run(config: DictConfig) -> int:
    from sweep.run import run

    missing = sorted(OmegaConf.missing_keys(config))
    if missing:
        raise InputError(f"{missing[0]} must be set (got nothing); give {missing[0]}=VALUE")
    job = _job(config)
    plain: dict[str, Any] = OmegaConf.to_container(config, resolve=True)  # type: ignore[assignment]
    if plain["plan"] == "only":
        return 0
    return run(job, plain, HydraConfig.get().runtime.choices.get("experiment") or "point")


def _job(config: DictConfig) -> Job:
    if config.job == "sweep":
        from sweep.simulation import Simulation

        return Simulation(plan(config, _load_option))
    if config.job not in JOBS:
        raise InputError(choose_from("job", config.job, ["sweep", *JOBS]))
    job: Job = importlib.import_module(JOBS[config.job]).job(OmegaConf.to_container(config, resolve=True))
    return job


def _load_option(group: str, name: str) -> Mapping[str, Any]:
    """Return what `group=name` would make of a group, with the command line's other overrides in force."""
    known = GlobalHydra.instance().config_loader().get_group_options(group)
    if name not in known:
        raise InputError(choose_from(f"axes.{group}", name, (option for option in known if option[0] != "_")))
    rest = [each for each in HydraConfig.get().overrides.task if each.partition("=")[0] != group]
    composed = hydra.compose("config", [*rest, f"{group}={name}"])
    options: dict[str, Any] = OmegaConf.to_container(composed[group], resolve=True)  # type: ignore[assignment]
    return options


def _arguments() -> None:
    """Refuse what Hydra's own parser would refuse with a page of usage."""
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said):
            get_args_parser().parse_known_args()
    except SystemExit as error:
        if error.code == BAD_INPUT:
            raise InputError(said.getvalue().strip().splitlines()[-1] + "; see --help") from None


def _told(action: Any) -> int:
    """Run `action`; answer bad input with one line."""
    try:
        return int(action() or 0)
    except (InputError, OmegaConfBaseException, hydra.errors.HydraException) as error:
        print(f"memcg-sweep: {one_line(error)}", file=sys.stderr)
        return BAD_INPUT


if __name__ == "__main__":
    main()
