"""Break `core.charge.count` and what it stands on, one place at a time, and see whether the reference notices.

    python -m tests.charge.mutation [module ...]

A mutant drops or doubles an increment, turns around a sum or a comparison, flips a truth value, moves a constant by
one, or gives a design another trait (module `designs`). It is killed if some random scenario's counts or page events
differ from the reference's, or a test of the stock by itself fails; what survives a few scenarios gets as many as
`test_reference.py` draws. Survivors are printed. Runs without Numba, so that a mutant costs no compilation.
"""

import ast
import dataclasses
import importlib
import os
import signal
import sys
from pathlib import Path
from typing import get_args, get_type_hints

os.environ["NUMBA_DISABLE_JIT"] = "1"

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.support import ROOT

# in the order in which they import one another
CHAIN = (
    "bits",
    "blocks",
    "slabs.heap",
    "slabs.slab",
    "slabs.slub",
    "slabs.allocator",
    "charge.stock",
    "charge.vmstat",
    "charge.objcg",
    "charge.machine",
    "charge.streams",
    "charge.count",
)
PATIENCE_S = 300
EXAMPLES = (20, 200)  # of each design
SWAPS = {ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Add, ast.FloorDiv: ast.Mult}
TURNS = {ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq}
READ = {  # by what a design charges: the traits that the charge path reads
    "nothing": ("charges",),
    "pages": ("per_memcg_caches", "reuses_dead", "cache_ref", "page_ref", "lists_pages", "reparents", "stock_slots"),
    "bytes": ("per_memcg_caches", "charges", "stock_slots"),
}


def mutants(module):
    """Every (where, what, function that makes the mutant) of a module."""
    if module == "designs":
        yield from ((f"core/designs/{name}.py", what, change) for name, what, change in traits())
        return
    path = ROOT / "core" / f"{module.replace('.', '/')}.py"
    lines = path.read_text().splitlines()
    for number, (function, node, how) in enumerate(places(ast.parse(path.read_text()))):
        where = f"core.{module}:{node.lineno}, column {node.col_offset}, in {function}()"
        yield where, f"{how}: {lines[node.lineno - 1].strip()}", lambda n=number: load(module, n)


def traits():
    """Every (design, what, function that gives it another trait)."""
    from core.designs import DESIGNS, ObjcgVersion

    for name, design in DESIGNS.items():
        for trait, other in others(design, READ[design.charges]):
            try:
                dataclasses.replace(design, **{trait: other})
            except ValueError:
                continue  # traits that contradict one another are refused before anything is counted
            yield (
                name,
                f"{trait}={other}",
                lambda n=name, d=design, t=trait, o=other: DESIGNS.__setitem__(n, dataclasses.replace(d, **{t: o})),
            )
        for as_of in ("5.9", "5.11", "5.15", "6.1") if design.objcg_version else ():
            for trait, other in others(design.objcg_version(as_of), get_type_hints(ObjcgVersion)):
                yield (
                    name,
                    f"{trait}={other} as of {as_of}",
                    lambda n=name, d=design, t=trait, o=other, a=as_of: DESIGNS.__setitem__(
                        n, dataclasses.replace(d, objcg_version=other_version(d, t, o, a))
                    ),
                )


def others(record, read):
    """Every (trait, other value) of a design or a version: the other truth value, literals, one slot more."""
    for trait in read:
        value, hint = getattr(record, trait), get_type_hints(type(record))[trait]
        if isinstance(value, bool):
            yield trait, not value
        elif isinstance(value, int):
            yield trait, value + 1
        else:
            yield from ((trait, other) for other in get_args(hint) if isinstance(other, str) and other != value)


def other_version(design, trait, other, as_of):
    def version(asked):
        found = design.objcg_version(asked)
        return found._replace(**{trait: other}) if asked == as_of else found

    return version


def places(tree):
    """Every (function, node, mutation) of a module, outside of annotations, docstrings and messages."""
    for function in ast.walk(tree):
        if isinstance(function, ast.FunctionDef):
            for statement in function.body:
                yield from ((function.name, node, how) for node in ast.walk(statement) for how in mutations(node))


def mutations(node):
    if isinstance(node, ast.AugAssign):
        yield from ("drop", "double")
    elif isinstance(node, ast.BinOp) and type(node.op) in SWAPS:
        yield "swap"
    elif isinstance(node, ast.Compare) and type(node.ops[0]) in TURNS:
        yield "turn"
    elif isinstance(node, ast.Constant) and type(node.value) is int:
        yield "plus one"
    elif isinstance(node, ast.Constant) and type(node.value) is bool:
        yield "flip"


def mutate(node, how):
    if how == "drop":
        node.value = ast.copy_location(ast.Constant(0), node.value)
    elif how == "double":
        node.value = ast.copy_location(ast.BinOp(node.value, ast.Mult(), ast.Constant(2)), node.value)
    elif how == "swap":
        node.op = SWAPS[type(node.op)]()
    elif how == "turn":
        node.ops[0] = TURNS[type(node.ops[0])]()
    elif how == "flip":
        node.value = not node.value
    else:
        node.value += 1
    ast.fix_missing_locations(node)


def survives(make, examples):
    """Whether the mutant passes all examples of all designs; runs in a child, so it may hang or break anything."""
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    os.dup2(1, 2)
    signal.alarm(PATIENCE_S)
    try:
        make()
        from core.designs import DESIGNS

        for test in hand_worked():
            test()
        for design in DESIGNS:
            check(design, examples)
    except BaseException:  # however it fails, it is noticed
        os._exit(1)
    os._exit(0)


def hand_worked():
    """The tests of the stock by itself."""
    test_stock = importlib.reload(importlib.import_module("tests.charge.test_stock"))
    return [test for name, test in vars(test_stock).items() if name.startswith("test_")]


def load(module, number):
    """Import the chain anew, with one module mutated."""
    for name in CHAIN:
        loaded = importlib.import_module(f"core.{name}")
        tree = ast.parse(Path(loaded.__file__).read_text())
        if name == module:
            _, node, how = list(places(tree))[number]
            mutate(node, how)
        exec(compile(tree, loaded.__file__, "exec"), loaded.__dict__)
    for name in ("tests.support.scenarios", "tests.charge.test_reference"):
        importlib.reload(importlib.import_module(name))


def check(design, examples):
    from tests.charge.test_reference import assert_equal_to_reference
    from tests.support.scenarios import scenarios, settings_of_a_lane

    @settings(
        max_examples=examples,
        phases=[Phase.generate],
        database=None,
        derandomize=True,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(lane=settings_of_a_lane(), scenario=scenarios(), batches=st.lists(st.integers(1, 40), max_size=3))
    def run(lane, scenario, batches):
        assert_equal_to_reference(design, lane, scenario, batches)

    run()


def main():
    total = killed = 0
    for module in sys.argv[1:] or ("designs", *CHAIN):
        for where, what, make in mutants(module):
            total += 1
            if all(survives(make, examples) for examples in EXAMPLES):
                print(f"survives: {where}: {what}", flush=True)
            else:
                killed += 1
        print(f"{module}: {killed} of {total} mutants killed so far", flush=True)


if __name__ == "__main__":
    main()
