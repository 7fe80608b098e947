"""Constraints such as `batch <= 64 or cpus >= 8`: Python's grammar, a small part of it, over whole columns at once."""

from __future__ import annotations

import ast
import operator
from collections.abc import Collection, Mapping
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sweep.errors import InputError, choose_from, first_line

OPERATORS: dict[type[ast.AST], Any] = {
    ast.Lt: operator.lt, ast.LtE: operator.le, ast.Gt: operator.gt, ast.GtE: operator.ge,
    ast.Eq: operator.eq, ast.NotEq: operator.ne,
    ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul,
    ast.Div: operator.truediv, ast.FloorDiv: operator.floordiv, ast.Mod: operator.mod,
    ast.Not: np.logical_not, ast.USub: operator.neg,
    ast.And: np.logical_and, ast.Or: np.logical_or,
    ast.In: np.isin,
    ast.NotIn: lambda value, options: ~np.isin(value, options),
}  # fmt: skip
GRAMMAR = "use names of keys, numbers, strings, lists, comparisons, `in`, and, or, not, + - * / // %"


def holds(expression: str, columns: Mapping[str, Any], size: int) -> NDArray[np.bool_]:
    """Return `[size]` bool: where `expression` holds.

    columns: config path -> a value, or an array of `size` values.
    """
    try:
        with np.errstate(divide="ignore", invalid="ignore"):
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
        if isinstance(node, ast.Name | ast.Attribute) and id(node) not in inside:
            path = ast.unparse(node)
            if path not in known:
                raise InputError(f"where: {choose_from(path, path, known)}")
            found.add(path)
    return found


def _parsed(expression: str) -> ast.expr:
    try:
        return ast.parse(expression, mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise _unreadable(expression, error) from error


def _unreadable(expression: str, error: Exception) -> InputError:
    return InputError(f"where must be a comparison of keys (got {expression!r}: {first_line(error)}); {GRAMMAR}")


def _value(node: ast.AST, columns: Mapping[str, Any]) -> Any:
    match node:
        case ast.Constant(value=bool() | int() | float() | str() as value):
            return value
        case ast.Name() | ast.Attribute():
            return columns[ast.unparse(node)]
        case ast.List(elts=items) | ast.Tuple(elts=items):
            return [_value(item, columns) for item in items]
        case ast.BoolOp(op=op, values=values):
            parts = [_value(value, columns) for value in values]
            result = parts[0]
            for part in parts[1:]:
                result = OPERATORS[type(op)](result, part)
            return result
        case ast.UnaryOp(op=op, operand=operand) if type(op) in OPERATORS:
            return OPERATORS[type(op)](_value(operand, columns))
        case ast.BinOp(left=left, op=op, right=right) if type(op) in OPERATORS:
            return OPERATORS[type(op)](_value(left, columns), _value(right, columns))
        case ast.Compare(left=left, ops=ops, comparators=rights):
            values = [_value(each, columns) for each in (left, *rights)]
            pairs = [OPERATORS[type(op)](*pair) for op, pair in zip(ops, pairwise(values), strict=True)]
            return np.logical_and.reduce(pairs)
    raise InputError(f"where must not use {ast.unparse(node)!r} (got a {type(node).__name__}); {GRAMMAR}")
