"""`python -m sweep`: compose a config, make a job of it, run it."""

from __future__ import annotations

import contextlib
import importlib.metadata
import io
import os
import re
import signal
import sys
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import Any

if __name__ == "__main__":  # a Ctrl-C while libraries are imported ends the process, without a page of Python's
    signal.signal(signal.SIGINT, signal.SIG_DFL)

import hydra
from hydra._internal.utils import get_args_parser  # what hydra.main parses with; it has no public name
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

import conf
from sweep.config import detect, hosts, kernels, options, schema
from sweep.config.multirun import as_axes
from sweep.config.units import as_said, in_own_unit
from sweep.engine import signals
from sweep.engine.loop import Job
from sweep.engine.progress import say
from sweep.engine.warm import keep_compiled
from sweep.errors import BAD_INPUT, FAILED, ClusterError, InputError, not_one_of, one_line, remark, remarks
from sweep.folder import end_process, within_reach
from sweep.plan.planner import counterfactual, flat, plan

IN_USER_WORDS: dict[str, str] = {}  # number -> the quantity with a unit that the user wrote for it
WITHOUT_EFFECT = {"inline": ("address", "cores", "in_flight", "retries"), "local": ("address",), "ray": ()}
TRUTH_AXES = ("backend", "vm.kernel", "vm.measure")  # keys that stand before the experiment's axes of them
NUMBER_OR_QUOTED = re.compile(r"""(?P<quoted>"[^"]*"|'[^']*')|(?<![^\[,\s])(?P<number>\d+(\.\d+)*)(?![^\],\s])""")
JOBS = {  # modules with a function job(config)
    "validate": "sweep.jobs.validate",
    "calibrate": "sweep.calibrate.job",
    "host": "sweep.jobs.host",
    "sensitivity": "sweep.jobs.sensitivity",
}


def main() -> None:
    """Run the command line; exit 0, 1 (points failed), 2 (bad input), 130 (Ctrl-C) or 143 (SIGTERM)."""
    if len(sys.argv) == 1 or sys.argv[1:] == ["--version"]:
        print(_start() if len(sys.argv) == 1 else f"memcg-sweep {importlib.metadata.version('memcg-sweep')}")
        sys.exit(0)
    os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra raises what it would print over many lines
    statuses: list[int] = []

    @hydra.main(version_base="1.3", config_path="../conf", config_name="config")
    def sweep(config: DictConfig) -> None:
        try:
            statuses.append(_run(config))
        except (InputError, OmegaConfBaseException, hydra.errors.HydraException) as error:
            statuses.append(_refused(error))
        except ClusterError as error:
            print(f"memcg-sweep: {error}", file=sys.stderr)
            statuses.append(FAILED)
        except Exception:
            # a fault of ours: whoever mends it needs to see where, and Hydra would hide it in its own
            traceback.print_exc()
            statuses.append(FAILED)

    arguments, sys.argv[1:] = sys.argv[1:], []
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # whatever the terminal can show
    signals.install()
    try:
        keep_compiled()
        schema.register()
        detect.register()
        hosts.register()
        kernels.register()
        sys.argv[1:] = _axes_replace([_text_quoted(_in_own_unit(argument)) for argument in as_axes(arguments)])
        _arguments()
        sweep()
    except Exception as error:
        statuses.append(_refused(error))  # Hydra could not make a config of the command line
    except signals.Stopped as stop:
        print("stopped; the same command resumes", file=sys.stderr)
        statuses.append(stop.status)
    if not any(statuses):
        for line in remarks():  # of what only shows a config
            say(line)
    end_process(max(statuses, default=0))


def _start() -> str:
    """What one can do, for whoever gives no argument."""
    experiments = sorted(path.stem for path in (Path(conf.__path__[0]) / "experiment").glob("[a-z]*.yaml"))
    return f"""What each way of charging slab memory to memory cgroups costs, in memory and in atomic operations.

  python -m sweep +experiment=smoke cluster=inline     a first run, in this process
  python -m sweep +experiment=churn                    the main job, on this machine's cores
  python -m sweep +experiment=churn plan=only          how many points it has, and how long it takes
  python -m sweep kernel=linux-4.19 cpus=96            one point, as that kernel does it
  python -m sweep +experiment=churn 'axes.cpus=[8,64]' other values of an axis
  python -m sweep --help                               groups and keys; --cfg job shows every value; --version
  python -m analysis                                   what to ask a run

experiments: {", ".join(experiments)}"""


def _refused(error: Exception) -> int:
    remarks()  # the refusal stands alone
    print(f"memcg-sweep: {as_said(one_line(error, schema.every_key()), IN_USER_WORDS)}", file=sys.stderr)
    return BAD_INPUT


def _run(config: DictConfig) -> int:
    from sweep.run import run, show_plan

    missing = sorted(
        OmegaConf.missing_keys(config) | {key for key in schema.every_key() if "." not in key and key not in config}
    )
    if missing:
        raise InputError(f"{missing[0]} must be set (got nothing); give {missing[0]}=VALUE")
    swept = _check_overrides(config)
    _check_groups(config, swept)
    schema.keep_every_rule(config)
    plain: dict[str, Any] = OmegaConf.to_container(config, resolve=True)  # type: ignore[assignment]
    plain["cluster"] = vars(schema.build(schema.Cluster, plain["cluster"], "cluster."))
    _check_cluster(plain["cluster"])
    within_reach(plain["out"])
    job = _job(config)
    if plain["plan"] == "only":
        try:
            return show_plan(job, plain["cluster"])
        except OSError as error:
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # Python would try again when it ends
            say(f"cannot write to stdout ({error.strerror})")
            return FAILED
    return run(job, plain, HydraConfig.get().runtime.choices.get("experiment") or "point")


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
    for group in options.GROUPS:
        if not isinstance(one := chosen.get(group), str):
            raise InputError(f"{group} must be one option (got {one or 'several'}); axes.{group}=[...] has several")
    if config.kernel.image and "image" not in (chosen["kernel"], *(swept.get("kernel") or ())):
        raise InputError(
            f"kernel.image must go with kernel=image (got '{config.kernel.image}' alone); add kernel=image"
        )


def _in_own_unit(argument: str) -> str:
    """Let a number have a unit that people think in: churn_hz=400/h."""
    key, is_override, value = argument.partition("=")
    return f"{key}={in_own_unit(key.lstrip('+'), value, IN_USER_WORDS)}" if is_override else argument


def _text_quoted(argument: str) -> str:
    """Let numbers and paths be text where a key takes text: Hydra would make 5.1 of kernel=5.10."""
    key, is_override, value = argument.partition("=")
    if not is_override or key.lstrip("+").removeprefix("axes.") not in schema.text_keys():
        return argument
    if value[:1] in ("/", "~", "."):  # a path stands as it is, whatever Hydra's grammar makes of its characters
        quoted = value.replace("'", "\\'")
        return f"{key}='{quoted}'"
    return f"{key}={NUMBER_OR_QUOTED.sub(lambda found: found['quoted'] or repr(found['number']), value)}"


def _axes_replace(arguments: list[str]) -> list[str]:
    """Let a list or range on the command line replace the experiment's, where Hydra would merge the two."""
    return [
        each
        for argument in arguments
        for each in ([f"++{argument.partition('=')[0]}=null", argument] if argument.startswith("axes.") else [argument])
    ]


def _job(config: DictConfig) -> Job:
    if config.job == "truth":
        from sweep.real.truth import truth

        given = [override.partition("=")[0].lstrip("+~") for override in HydraConfig.get().overrides.task]
        return truth(config, _load_option, given)
    if config.backend != "model":
        raise InputError(f"backend must be model for job={config.job} (got {config.backend!r}); use +experiment=truth")
    if config.job == "sweep":
        from sweep.jobs.crossover import crossover
        from sweep.jobs.simulation import Simulation

        points = plan(config, _load_option)
        if line := counterfactual(points):
            remark(line)
        return crossover(points, vars(OmegaConf.to_object(config.refine))) if config.refine else Simulation(points)
    job: Job = importlib.import_module(JOBS[config.job]).job(OmegaConf.to_container(config, resolve=True))
    return job


def _load_option(group: str, name: str) -> Mapping[str, Any]:
    """Return what `group=name` would make of a group, with the command line's other overrides in force."""
    known = GlobalHydra.instance().config_loader().get_group_options(group)
    if name not in known and group == "kernel":
        kernels.profile(name)  # says what there is, if there is none
    elif name not in known:
        raise InputError(not_one_of(f"axes.{group}", name, (option for option in known if option[0] != "_")))
    values: dict[str, Any] = options.composed_with(group, name)[group]
    return values


def _arguments() -> None:
    """Refuse what Hydra's own parser would refuse with a page of usage."""
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said):
            get_args_parser().parse_args()
    except SystemExit as error:
        if error.code == BAD_INPUT:
            raise InputError(said.getvalue().strip().splitlines()[-1] + "; see --help") from None


if __name__ == "__main__":
    main()
