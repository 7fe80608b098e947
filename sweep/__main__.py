"""`python -m sweep`: answer what needs no config, and leave the rest to `sweep.command`."""

from __future__ import annotations

import importlib.metadata
import signal
import sys
from pathlib import Path

if __name__ == "__main__":  # a Ctrl-C while libraries are imported ends the process, without a page of Python's
    signal.signal(signal.SIGINT, signal.SIG_DFL)

import conf


def main() -> None:
    """Run the command line; exit 0, 1 (points failed), 2 (bad input), 130 (Ctrl-C) or 143 (SIGTERM)."""
    if len(sys.argv) == 1:
        print(_start())
    elif sys.argv[1:] == ["--version"]:
        print(f"memcg-sweep {importlib.metadata.version('memcg-sweep')}")
    else:
        from sweep import command  # Hydra, which the others do without

        command.obey(sys.argv[1:])
    sys.exit(0)


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


if __name__ == "__main__":
    main()
