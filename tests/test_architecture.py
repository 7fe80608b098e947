"""Who may import whom: sweep and analysis know core, core knows nobody, and they meet in Parquet only."""

from __future__ import annotations

import ast
import sys

import pytest

from tests.support import ROOT

OURS = {"core", "sweep", "analysis"}
PURE = {"numpy", "numba", "llvmlite", "scipy"}  # besides the standard library's types and tools
IMPURE = {"os", "io", "pathlib", "time", "datetime", "logging", "random", "socket", "subprocess", "sys", "threading"}
OTHERS = {"ray", "hydra", "omegaconf", "pyarrow", "duckdb", "rich", "typer", "plotly", "yaml"}


def imports(package: str) -> set[tuple[str, str]]:
    """Pairs of a file of `package` and the top-level name of what it imports."""
    found = set()
    for path in (ROOT / package).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and not node.level:
                names = [node.module or ""]
            found |= {(str(path.relative_to(ROOT)), name.partition(".")[0]) for name in names}
    return found


@pytest.mark.parametrize(("package", "allowed"), [("core", set()), ("sweep", {"core"}), ("analysis", {"core"})])
def test_imports_go_one_way(package, allowed):
    """Of our packages, one imports itself and what it may."""
    assert {(path, name) for path, name in imports(package) if name in OURS - allowed - {package}} == set()


def test_core_is_pure():
    """The simulation reads no file and no clock, and knows no framework."""
    assert {(path, name) for path, name in imports("core") if name in IMPURE | OTHERS} == set()


def test_every_import_of_core_is_known():
    """What core imports beside the standard library is NumPy and its kin, so the list above misses nothing."""
    names = {name for _, name in imports("core")}

    assert names - set(sys.stdlib_module_names) <= PURE | {"core"}
