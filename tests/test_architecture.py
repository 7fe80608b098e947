"""Who may import whom: sweep and analysis know core, core knows nobody, and they meet in Parquet only."""

from __future__ import annotations

import ast
import sys
from collections import defaultdict
from collections.abc import Iterator

import pytest

from tests.support import ROOT

OURS = {"core", "sweep", "analysis"}
SHARED = {"sweep.folder"}
PAGES = ("analysis/docs.py", "sweep.config.schema")  # who writes docs/keys.md reads the rules beside all fields
ALONE = {"sweep/real/observe.py"}  # a program that is copied to a host by itself
# names that several modules offer alike: columns of a part, figures of a publication, an allocator, a job, a program
ALIKE = {
    "BAD_INPUT",
    "COLUMNS",
    "InputError",
    "KEYED",
    "POINTS",
    "SERIES_COLUMNS",
    "T",
    "deactivate",
    "figures",
    "free",
    "job",
    "main",
    "refill",
    "register",
}
PURE = {"numpy", "numba", "llvmlite", "scipy"}  # besides the standard library's types and tools
IMPURE = {"os", "io", "pathlib", "time", "datetime", "logging", "random", "socket", "subprocess", "sys", "threading"}
OTHERS = {"ray", "hydra", "omegaconf", "pyarrow", "duckdb", "rich", "typer", "matplotlib", "yaml"}


def imports(package: str) -> set[tuple[str, str]]:
    """Pairs of a file of `package` and the module that it imports, or from which it does."""
    found = set()
    for path in (ROOT / package).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and not node.level:
                module = node.module or ""
                inner = [f"{module}.{alias.name}" for alias in node.names if is_module(f"{module}.{alias.name}")]
                names = inner or [module]
            found |= {(str(path.relative_to(ROOT)), name) for name in names}
    return found


def is_module(name: str) -> bool:
    """Whether a dotted name is a module or package of ours."""
    path = ROOT.joinpath(*name.split("."))
    return path.with_suffix(".py").exists() or path.is_dir()


def top(name: str) -> str:
    """The package of a dotted name."""
    return name.partition(".")[0]


@pytest.mark.parametrize(("package", "allowed"), [("core", set()), ("sweep", {"core"}), ("analysis", {"core"})])
def test_imports_go_one_way(package, allowed):
    """Of our packages, one imports itself and what it may; analysis also the one module that knows a run's folder."""
    foreign = OURS - allowed - {package}
    found = {(path, name) for path, name in imports(package) if top(name) in foreign and name not in SHARED}

    assert found <= {PAGES}


def test_the_shared_module_knows_nobody():
    """What sweep and analysis share imports none of our packages, no Ray and no Hydra."""
    found = {top(name) for path, name in imports("sweep") if path == "sweep/folder.py"}

    assert found <= set(sys.stdlib_module_names) | {"pyarrow"}


def test_validation_is_a_leaf():
    """Validation imports the rest of core, never the other way: a comment mended there renames no run."""
    found = {(path, name) for path, name in imports("core") if name.startswith("core.validation")}

    assert {path for path, _ in found if not path.startswith("core/validation/")} == set()


def test_core_is_pure():
    """The simulation reads no file and no clock, and knows no framework."""
    assert {(path, name) for path, name in imports("core") if top(name) in IMPURE | OTHERS} == set()


def test_every_import_of_core_is_known():
    """What core imports beside the standard library is NumPy and its kin, so the list above misses nothing."""
    names = {top(name) for _, name in imports("core")}

    assert names - set(sys.stdlib_module_names) <= PURE | {"core"}


def names(package: str) -> Iterator[tuple[str, str]]:
    """Pairs of a public name that a module defines and the module."""
    for path in (ROOT / package).rglob("*.py"):
        if str(path.relative_to(ROOT)) in ALONE:
            continue
        for node in ast.parse(path.read_text()).body:
            found = [node.name] if isinstance(node, ast.FunctionDef | ast.ClassDef) else []
            if isinstance(node, ast.Assign):
                found = [target.id for target in node.targets if isinstance(target, ast.Name)]
            if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
                found = [node.target.id]
            yield from ((name, str(path.relative_to(ROOT))) for name in found if not name.startswith("_"))


def test_a_name_has_one_meaning():
    """No two modules define one name, but for what several offer alike."""
    places = defaultdict(set)
    for package in sorted(OURS):
        for name, path in names(package):
            places[name].add(path)
    twice = {name for name, found in places.items() if len(found) > 1}

    assert twice - ALIKE == set(), {name: sorted(places[name]) for name in twice - ALIKE}
