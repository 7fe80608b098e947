"""The command line: what it means to Hydra, and how a refusal, a fault and a Ctrl-C end."""

from __future__ import annotations

import contextlib
import io
import os
import re
import string
import sys
import traceback
from argparse import Namespace
from collections.abc import Sequence
from typing import NoReturn

import hydra
from hydra._internal.utils import get_args_parser  # what hydra.main parses with; it has no public name
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from sweep.config import detect, hosts, kernels, schema
from sweep.config.multirun import as_axes
from sweep.config.units import as_said, in_own_unit
from sweep.engine import signals
from sweep.engine.progress import say
from sweep.engine.warm import keep_compiled
from sweep.errors import BAD_INPUT, FAILED, ClusterError, InputError, one_line, remarks
from sweep.folder import end_process

IN_USER_WORDS: dict[str, str] = {}  # number -> the quantity with a unit that the user wrote for it
NUMBER_OR_QUOTED = re.compile(r"""(?P<quoted>"[^"]*"|'[^']*')|(?<![^\[,\s])(?P<number>\d+(\.\d+)*)(?![^\],\s])""")


def obey(arguments: Sequence[str]) -> NoReturn:
    """Run the command line; exit 0, 1 (points failed), 2 (bad input), 130 (Ctrl-C) or 143 (SIGTERM)."""
    os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra raises what it would print over many lines
    statuses: list[int] = []

    @hydra.main(version_base="1.3", config_path="../conf", config_name="config")
    def sweep(config: DictConfig) -> None:
        from sweep.asked import answer  # NumPy and pyarrow, which --help and --cfg do without

        try:
            statuses.append(answer(config))
        except (InputError, OmegaConfBaseException, hydra.errors.HydraException) as error:
            statuses.append(_refused(error))
        except Exception as error:  # Hydra would hide it in its own
            statuses.append(_failed(error))

    sys.argv[1:] = []
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # whatever the terminal can show
    signals.install()
    try:
        try:
            keep_compiled()
            schema.register()
            detect.register()
            hosts.register()
            kernels.register()
            sys.argv[1:] = _axes_replace([_text_quoted(_in_own_unit(argument)) for argument in as_axes(arguments)])
            if _is_help(given := _arguments()):
                print(_help(given.overrides, given.resolve))
            else:
                sweep()
        except Exception as error:
            statuses.append(_refused(error))  # Hydra could not make a config of the command line
    except signals.Stopped as stop:
        print("stopped; the same command resumes", file=sys.stderr)
        statuses.append(stop.status)
    if not any(statuses):
        for line in remarks():  # of what only shows a config
            say(line)
    signals.ignore()
    # some of Ray's threads outlive it: a driver that had said all was once seen to die of SIGSEGV
    end_process(max(statuses, default=0), bare="ray" in sys.modules)


def _refused(error: Exception) -> int:
    signals.check()  # a library drops what one raises now and then, and what goes wrong after it is not the user's
    remarks()  # the refusal stands alone
    print(f"memcg-sweep: {as_said(one_line(error, schema.every_key()), IN_USER_WORDS)}", file=sys.stderr)
    return BAD_INPUT


def _failed(error: Exception) -> int:
    signals.check()
    if isinstance(error, ClusterError):
        print(f"memcg-sweep: {error}", file=sys.stderr)
    else:
        traceback.print_exception(error)  # a fault of ours: whoever mends it needs to see where
    return FAILED


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


def _arguments() -> Namespace:
    """Return what the command line says to Hydra. Raises InputError where Hydra would print a page of usage."""
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said):
            return get_args_parser().parse_args()
    except SystemExit as error:
        if error.code == BAD_INPUT:
            raise InputError(said.getvalue().strip().splitlines()[-1] + "; see --help") from None
        raise


def _is_help(given: Namespace) -> bool:
    """Whether the help text of our own config is asked for."""
    return given.help and not (given.config_name or given.config_path or given.config_dir)


def _help(overrides: Sequence[str], resolve: bool) -> str:
    """Return Hydra's help text, without options that others are made of.

    Hydra itself copies its whole search path for each of its own groups, which the text does not name.
    """
    with hydra.initialize_config_module("conf", version_base="1.3"):
        config = hydra.compose("config", list(overrides), return_hydra_config=True)
        HydraConfig.instance().set_config(config)
        loader = GlobalHydra.instance().config_loader()
        groups = {group: loader.get_group_options(group) for group in loader.list_groups("") if group != "hydra"}
        template = string.Template(config.hydra.help.template)
    shown = {group: ", ".join(name for name in sorted(names) if name[0] != "_") for group, names in groups.items()}
    keys = OmegaConf.masked_copy(config, [str(key) for key in config if key != "hydra"])
    return template.substitute(
        APP_CONFIG_GROUPS="".join(f"{group}: {names}\n" for group, names in shown.items() if names),
        CONFIG=OmegaConf.to_yaml(keys, resolve=resolve),
    )
