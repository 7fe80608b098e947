"""Constraints such as `batch <= 64 or cpus >= 8`: Python's grammar, a small part of it, over whole columns at once."""

from __future__ import annotations

import ast
import functools
import operator
from collections.abc import Collection, Mapping
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sweep.errors import InputError, choose_from, first_line

ARITHMETIC: dict[type[ast.AST], Any] = {
    ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul,
    ast.Div: operator.truediv, ast.FloorDiv: operator.floordiv, ast.Mod: operator.mod, ast.USub: operator.neg,
}  # fmt: skip
COMPARISONS: dict[type[ast.AST], Any] = {
    ast.Lt: operator.lt, ast.LtE: operator.le, ast.Gt: operator.gt, ast.GtE: operator.ge,
    ast.Eq: operator.eq, ast.NotEq: operator.ne,
    ast.In: np.isin,
    ast.NotIn: lambda value, options: ~np.isin(value, options),
}  # fmt: skip
LOGIC: dict[type[ast.AST], Any] = {ast.And: np.logical_and, ast.Or: np.logical_or, ast.Not: np.logical_not}
TYPE_NAMES = {"b": "true or false", "i": "a number", "u": "a number", "f": "a number", "U": "text"}
TRUTHS = {"true": True, "false": False}  # as YAML writes them
GRAMMAR = "use names of keys, numbers, strings, lists after `in`, comparisons, and, or, not, + - * / // % of numbers"


def holds(expression: str, columns: Mapping[str, Any], size: int) -> NDArray[np.bool_]:
    """Return `[size]` bool: where `expression` holds.

    columns: config path -> a value, or an array of `size` values.
    """
    try:
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            result = np.asarray(_value(_parsed(expression), columns))
    except InputError:
        raise
    except Exception as error:
        raise _unreadable(expression, error) from error
    if result.dtype != np.bool_:
        raise InputError(f"where must be true or false for a point (got {expression!r}); compare with something")
    return np.broadcast_to(result, size)


def names(expression: str, known: Collection[str]) -> set[str]:
    """Return the names of `expression`, all of them among those known."""
    found = set()
    tree = _parsed(expression)
    inside = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            raise _outside(node)
        if isinstance(node, ast.Name | ast.Attribute) and id(node) not in inside:
            path = ast.unparse(node)
            if path in TRUTHS:
                continue
            if path not in known:
                raise InputError(f"where: {choose_from(path, path, known)}")
            found.add(path)
    return found


def _parsed(expression: str) -> ast.expr:
    try:
        return ast.parse(expression.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise _unreadable(expression, error) from error


def _unreadable(expression: str, error: Exception) -> InputError:
    return InputError(f"where must be a comparison of keys (got {expression!r}: {first_line(error)}); {GRAMMAR}")


def _value(node: ast.AST, columns: Mapping[str, Any]) -> Any:
    match node:
        case ast.Constant(value=bool() | int() | float() | str() as value):
            return value
        case ast.Name() | ast.Attribute():
            path = ast.unparse(node)
            return TRUTHS[path] if path in TRUTHS else columns[path]
        case ast.BoolOp(op=op, values=values):
            return functools.reduce(LOGIC[type(op)], [_of("true or false", each, columns) for each in values])
        case ast.UnaryOp(op=ast.Not() as op, operand=operand):
            return LOGIC[type(op)](_of("true or false", operand, columns))
        case ast.UnaryOp(op=op, operand=operand) if type(op) in ARITHMETIC:
            return ARITHMETIC[type(op)](_of("a number", operand, columns))
        case ast.BinOp(left=left, op=op, right=right) if type(op) in ARITHMETIC:
            return ARITHMETIC[type(op)](_of("a number", left, columns), _of("a number", right, columns))
        case ast.Compare(left=left, ops=ops, comparators=rights):
            sides = pairwise((left, *rights))
            results = [_compared(*each, op, columns) for each, op in zip(sides, ops, strict=True)]
            return functools.reduce(np.logical_and, results)
    raise _outside(node)


def _outside(node: ast.AST) -> InputError:
    return InputError(f"where must not use {ast.unparse(node)!r} (got a {type(node).__name__}); {GRAMMAR}")


def _compared(left: ast.expr, right: ast.expr, op: ast.cmpop, columns: Mapping[str, Any]) -> Any:
    if type(op) not in COMPARISONS:
        raise InputError(f"where must not use {type(op).__name__} (got {ast.unparse(right)!r}); {GRAMMAR}")
    one = _value(left, columns)
    if isinstance(op, ast.In | ast.NotIn):
        if not isinstance(right, ast.List | ast.Tuple) or not right.elts:
            raise InputError(f"where must have a list after `in` (got {ast.unparse(right)!r}); write [1, 2]")
        return COMPARISONS[type(op)](one, [_of(_kind(one), item, columns) for item in right.elts])
    return COMPARISONS[type(op)](one, _of(_kind(one), right, columns))


def _of(kind: str, node: ast.expr, columns: Mapping[str, Any]) -> Any:
    """Return a value that must be of a kind."""
    value = _value(node, columns)
    if _kind(value) != kind:
        raise InputError(
            f"where must have {kind} here (got {ast.unparse(node)!r}, {_kind(value)}); compare like with like"
        )
    return value


def _kind(value: Any) -> str:
    return TYPE_NAMES.get(np.asarray(value).dtype.kind, "neither")
