"""Measured price tables: where they are kept, and what `host=calibrated` and `host=auto` stand for.

A node keeps the newest measurement of its type in `$XDG_DATA_HOME/memcg-sweep/host/`, by default below
`~/.local/share`. The folder is part of Hydra's search path, so a measured table is an option of the group `host` like
any other: it can be composed, overridden and swept. `conf/host/calibrated.yaml` and `conf/host/auto.yaml` ask here for
its name when the config is composed.
"""

from __future__ import annotations

import csv
import functools
import re
import sys
from pathlib import Path

from omegaconf import OmegaConf

from sweep.calibrate.topology import machine, usable_cpus
from sweep.errors import BAD_INPUT
from sweep.places import data_folder

PRESETS = {  # start of the machine's `type` -> option; read from /proc/cpuinfo
    "GenuineIntel/6/79": "xeon_bdx_2s18",
    "GenuineIntel/6/85": "xeon_clx_2s24",
    "GenuineIntel/6/106": "xeon_icx_2s32",
    "GenuineIntel/6/143": "xeon_spr_2s56",
    "GenuineIntel": "xeon_icx_2s32",
    "AuthenticAMD/23": "epyc_rome_2s64",
    "AuthenticAMD/25/17": "epyc_genoa_2s24",
    "AuthenticAMD": "epyc_milan_2s48",
    "0x41/0xd08": "graviton1_16v",
    "0x41/0xd40": "graviton3_64",
    "0x48": "kunpeng920_64",
    "": "graviton2_16v",
}


def register() -> None:
    """Tell Hydra's config files what to ask."""
    # Hydra warns of a folder that is not there: a second look into our own is harmless
    OmegaConf.register_new_resolver(
        "calibrations", lambda: f"file://{folder()}" if folder().is_dir() else "pkg://conf", replace=True
    )
    OmegaConf.register_new_resolver("calibrated", _calibrated, replace=True)
    OmegaConf.register_new_resolver("nearest", _nearest, replace=True)


def folder() -> Path:
    """Return where this node keeps what was measured on it."""
    return data_folder()


def name() -> str:
    """Return the name of this type of node: model and number of CPUs that may be used."""
    model = re.sub(r"[^a-z0-9]+", "_", machine()["model"].lower()).strip("_")
    return f"{model}_{len(usable_cpus())}cpus"


def table_path() -> Path:
    """Return the file with this node's price table."""
    return folder() / "host" / f"{name()}.yaml"


def rows_path() -> Path:
    """Return the file with the measurements that the price table was made from."""
    return folder() / "calibration" / f"{name()}.csv"


def path_prices() -> Path:
    """Return the file with the price of this node's kernel path, which `backend=live` measures."""
    return folder() / "kernel_path" / f"{name()}.yaml"


def newest_rows() -> list[dict[str, str]]:
    """Return the newest measurements of this node; none if there are none, or some could not be trusted."""
    if not rows_path().exists():
        return []
    with rows_path().open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    return rows if all(row["ns"] for row in rows) and any(int(row["threads"]) > 1 for row in rows) else []


def preset() -> str:
    """Return the preset that is nearest to this node."""
    kind = machine()["type"]
    return next(option for start, option in PRESETS.items() if kind.startswith(start))


def _calibrated() -> str:
    if not table_path().exists():
        # Hydra would drop the message of an exception that is raised here
        print(
            f"memcg-sweep: host=calibrated must have a measurement of this node (got none at {table_path()}); "
            "run python -m sweep +experiment=calibrate first, or use host=auto",
            file=sys.stderr,
        )
        raise SystemExit(BAD_INPUT)
    return f"/host/{name()}"


@functools.cache
def _nearest() -> str:
    measured = table_path().exists()
    chosen = name() if measured else preset()
    how = "measured on this node" if measured else "nearest preset; +experiment=calibrate measures this node"
    print(f"host=auto is {chosen}: {how}", file=sys.stderr)
    return f"/host/{chosen}"
