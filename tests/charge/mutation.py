"""Break `core.charge` and what it stands on, one place at a time, and see whether the reference notices.

    python tests/charge/mutation.py [module ...]

A mutant drops or doubles an increment, turns around a sum or a comparison, or moves a constant by one. It is killed if
some random scenario's counts or page events differ from the reference's, or anything raises. Survivors are printed.
Runs without Numba, so that a mutant costs no compilation.
"""

import ast
import importlib
import os
import signal
import sys
from pathlib import Path

os.environ["NUMBA_DISABLE_JIT"] = "1"
HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent), str(HERE.parents[1])]

from hypothesis import HealthCheck, Phase, given, settings  # noqa: E402
from hypothesis import strategies as st  # noqa: E402

# in the order in which they import one another
CHAIN = ("heap", "slab", "slub", "allocator", "stock", "vmstat", "objcg", "streams", "charge")
PATIENCE_S = 120
EXAMPLES = 20  # of each design
SWAPS = {ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Add, ast.FloorDiv: ast.Mult}
TURNS = {ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq}


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


def mutate(node, how):
    if how == "drop":
        node.value = ast.copy_location(ast.Constant(0), node.value)
    elif how == "double":
        node.value = ast.copy_location(ast.BinOp(node.value, ast.Mult(), ast.Constant(2)), node.value)
    elif how == "swap":
        node.op = SWAPS[type(node.op)]()
    elif how == "turn":
        node.ops[0] = TURNS[type(node.ops[0])]()
    else:
        node.value += 1
    ast.fix_missing_locations(node)


def survives(module, number):
    """Whether the mutant passes all examples of all designs; runs in a child, so it may hang or break anything."""
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    os.dup2(1, 2)
    signal.alarm(PATIENCE_S)
    try:
        load(module, number)
        from core.designs import DESIGNS

        for design in DESIGNS:
            check(design)
    except BaseException:  # however it fails, it is noticed
        os._exit(1)
    os._exit(0)


def load(module, number):
    """Import the chain anew, with one module mutated."""
    for name in CHAIN:
        loaded = importlib.import_module(f"core.{name}")
        tree = ast.parse(Path(loaded.__file__).read_text())
        if name == module:
            _, node, how = list(places(tree))[number]
            mutate(node, how)
        exec(compile(tree, loaded.__file__, "exec"), loaded.__dict__)
    for name in ("scenarios", "test_reference"):
        importlib.reload(importlib.import_module(name))


def check(design):
    from scenarios import scenarios, settings_of_a_lane
    from test_reference import assert_equal_to_reference

    @settings(
        max_examples=EXAMPLES,
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
    for module in sys.argv[1:] or CHAIN:
        source = HERE.parents[1] / "core" / f"{module}.py"
        for number, (function, node, how) in enumerate(places(ast.parse(source.read_text()))):
            total += 1
            if survives(module, number):
                line = source.read_text().splitlines()[node.lineno - 1].strip()
                place = f"core/{module}.py:{node.lineno}, column {node.col_offset}, in {function}()"
                print(f"survives: {how}: {place}: {line}", flush=True)
            else:
                killed += 1
    print(f"{killed} of {total} mutants killed")


if __name__ == "__main__":
    main()
