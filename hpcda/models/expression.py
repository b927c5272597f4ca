"""Observed quantities written as expressions of states and parameters, such as ``gain * x0**2 + x1``.

Only arithmetic, numbers, names of states and the functions below are accepted; nothing else of Python is
reached.
"""

from __future__ import annotations

import ast
import warnings
from collections.abc import Callable, Mapping, Sequence
from types import CodeType
from typing import Any

import numpy as np

from hpcda.errors import InputError, Mistake
from hpcda.models.graph import function_value
from hpcda.names import nearest


def _function(name: str) -> Callable[[Any], Any]:
    """A function of numbers and arrays, by the C library (see `function_value`), and of traced symbols."""
    ufunc = getattr(np, name)
    of_numbers = np.frompyfunc(lambda x: function_value(name, x), 1, 1)

    def function(value: Any) -> Any:
        plain = isinstance(value, np.ndarray | np.generic) and value.dtype.kind == "f"
        return np.asarray(of_numbers(value), dtype=np.float64)[()] if plain else ufunc(value)

    return function


FUNCTIONS: dict[str, Any] = {
    name: _function(name)
    for name in (
        "exp", "log", "sqrt", "sin", "cos", "tan", "sinh", "cosh", "tanh", "arcsin", "arccos", "arctan",
        "abs",
    )
}  # fmt: skip
LONGEST, HIGHEST_POWER = 2000, 100


class Expression:
    """A function of states, as ``Expression("x0**2 + x1", ("x0", "x1"))({"x0": 3.0, "x1": 1.0})``.

    Args:
        text: The expression.
        state_names: Names of the model's states; one of them alone stands for itself, whatever it looks like.
        place: The key in the job, for messages.
        parameters: Names of parameters that it may use besides; a state goes before a parameter of its name.

    Attributes:
        text: The expression.
        states: Names of the states in it.
        parameters: Names of the parameters in it.

    Raises:
        InputError: The text is no expression, uses an unknown name, or contains no state.
    """

    def __init__(
        self, text: str, state_names: Sequence[str], place: str = "observed", parameters: Sequence[str] = ()
    ) -> None:
        self.text = text
        self.states: tuple[str, ...] = (text,)
        self.parameters: tuple[str, ...] = ()
        self._code: CodeType | None = None
        if text in state_names:
            return
        if len(text) > LONGEST:
            remedy = "make it a state of the model"
            raise InputError(Mistake(place, f"is longer than {LONGEST} characters", remedy))
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", SyntaxWarning)
                tree = ast.parse(text.strip(), mode="eval")
            used = _names(tree.body, (*state_names, *parameters), place)
            tree.body = _Floats().visit(tree.body)
            self._code = compile(ast.fix_missing_locations(tree), "<observed>", "eval")
        except (SyntaxError, ValueError, RecursionError, MemoryError, OverflowError) as error:
            reason = error.msg if isinstance(error, SyntaxError) else str(error)
            remedy = 'write an expression of states, such as "x0" or "x0**2 + x1"'
            raise InputError(Mistake(place, f"is not an expression: {reason}", remedy)) from None
        if not any(name in state_names for name in used):
            remedy = f"write an expression of {', '.join(state_names[:20])}"
            raise InputError(Mistake(place, "contains no state", remedy))
        self.states = tuple(dict.fromkeys(name for name in used if name in state_names))
        self.parameters = tuple(dict.fromkeys(name for name in used if name not in state_names))
        try:  # a part without states is plain arithmetic, which raises, or becomes complex
            with np.errstate(all="ignore"):
                value = self({name: np.float64(1.0) for name in (*self.states, *self.parameters)})
        except (ArithmeticError, TypeError, RecursionError) as error:
            problem = f"cannot be computed: {error}"
            raise InputError(Mistake(place, problem, "correct the numbers in it")) from None
        if np.iscomplexobj(value):
            raise InputError(Mistake(place, "is not real", "correct the numbers in it"))

    def __call__(self, values: Mapping[str, Any]) -> Any:
        """The value for states and parameters by name: numbers, arrays of one shape, or traced symbols."""
        if self._code is None:
            return values[self.text]
        known = {name: values[name] for name in (*self.states, *self.parameters)}
        return eval(self._code, {"__builtins__": {}, **FUNCTIONS, **known})


def names_in(text: str) -> set[str]:
    """Names in the text of an expression; of a name alone, whatever it looks like, itself."""
    try:
        tree = ast.parse(text.strip(), mode="eval")
    except SyntaxError:
        return {text}
    used = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    return (used - set(FUNCTIONS)) or {text}


def _names(node: ast.expr, states: Sequence[str], place: str) -> list[str]:
    """States used in a tree, which is refused where it holds anything but arithmetic."""
    match node:
        case ast.Name(id=name):
            if name in states:
                return [name]
            remedy = nearest(name, states)
            raise InputError(Mistake(place, f"{name!r} is not a state or parameter of the model", remedy))
        case ast.Constant(value=value) if isinstance(value, int | float) and not isinstance(value, bool):
            if not abs(value) < 1e300:
                raise ValueError("a number is too large")
            return []
        case ast.UnaryOp(op=ast.USub() | ast.UAdd(), operand=inner):
            return _names(inner, states, place)
        case ast.BinOp(left=left, op=ast.Pow(), right=right):
            exponent = right.operand if isinstance(right, ast.UnaryOp) else right
            if not isinstance(exponent, ast.Constant):
                raise ValueError("an exponent must be a number")
            _names(exponent, states, place)
            if abs(exponent.value) > HIGHEST_POWER:  # type: ignore[arg-type]
                raise ValueError(f"an exponent is above {HIGHEST_POWER}")
            return _names(left, states, place)
        case ast.BinOp(left=left, op=ast.Add() | ast.Sub() | ast.Mult() | ast.Div(), right=right):
            return _names(left, states, place) + _names(right, states, place)
        case ast.Call(func=ast.Name(id=name), args=[argument], keywords=[]):
            if name not in FUNCTIONS:
                raise InputError(Mistake(place, f"{name!r} is not a function", nearest(name, FUNCTIONS)))
            return _names(argument, states, place)
    raise ValueError(f"{ast.unparse(node)} is neither arithmetic nor a function of one value")


class _Floats(ast.NodeTransformer):
    """Whole numbers become floats, except exponents, so that no constant part grows without end."""

    def visit_BinOp(self, node: ast.BinOp) -> ast.AST:
        node.left = self.visit(node.left)
        if not isinstance(node.op, ast.Pow):
            node.right = self.visit(node.right)
        return node

    def visit_Constant(self, node: ast.Constant) -> ast.AST:
        return ast.Constant(float(node.value))  # type: ignore[arg-type]
