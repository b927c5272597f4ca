"""Tracing: runs plain Python equations on symbols that record every operation in a graph."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any, ClassVar

import numpy as np

from hpcda.errors import InputError, Mistake
from hpcda.models.graph import UNARY, Graph

ENTRY_BY_ENTRY = "np.array([f(one) for one in z])"
"""How a function f is taken of a plain array z of symbols, where NumPy asks nobody how."""


def _unsupported(what: str, remedy: str = "") -> InputError:
    usual = "write it with + - * / **, comparisons inside np.where, and NumPy functions such as np.exp"
    return InputError(Mistake("equations", f"{what} cannot be differentiated", usual + remedy))


class Symbol:
    """A traced number: takes ordinary operators and NumPy functions, alone or inside object arrays."""

    __slots__ = ("graph", "node")
    __array_priority__: ClassVar[float] = 1000.0
    __hash__ = None  # type: ignore[assignment]

    def __init__(self, graph: Graph, node: int) -> None:
        self.graph = graph
        self.node = node

    def _other(self, other: Any) -> int | None:
        if isinstance(other, Symbol):
            return other.node
        if isinstance(other, (int, float, np.integer, np.floating, np.bool_)):
            return self.graph.constant(float(other))
        if isinstance(other, np.ndarray) and other.ndim == 0:
            return self._other(other.item())
        return None

    def _binary(self, other: Any, operation: Callable[[int, int], int], swap: bool = False) -> Any:
        node = self._other(other)
        if node is None:
            return NotImplemented
        return Symbol(self.graph, operation(node, self.node) if swap else operation(self.node, node))

    def __add__(self, other: Any) -> Any:
        return self._binary(other, self.graph.add)

    def __radd__(self, other: Any) -> Any:
        return self._binary(other, self.graph.add, swap=True)

    def __sub__(self, other: Any) -> Any:
        return self._binary(other, self.graph.subtract)

    def __rsub__(self, other: Any) -> Any:
        return self._binary(other, self.graph.subtract, swap=True)

    def __mul__(self, other: Any) -> Any:
        return self._binary(other, self.graph.multiply)

    def __rmul__(self, other: Any) -> Any:
        return self._binary(other, self.graph.multiply, swap=True)

    def __truediv__(self, other: Any) -> Any:
        return self._binary(other, self.graph.divide)

    def __rtruediv__(self, other: Any) -> Any:
        return self._binary(other, self.graph.divide, swap=True)

    def __pow__(self, other: Any) -> Any:
        return self._binary(other, self.graph.power)

    def __rpow__(self, other: Any) -> Any:
        return self._binary(other, self.graph.power, swap=True)

    def __neg__(self) -> Symbol:
        return Symbol(self.graph, self.graph.unary("neg", self.node))

    def __pos__(self) -> Symbol:
        return self

    def __abs__(self) -> Symbol:
        return Symbol(self.graph, self.graph.unary("abs", self.node))

    def __lt__(self, other: Any) -> Any:
        return self._compare("lt", other)

    def __le__(self, other: Any) -> Any:
        return self._compare("le", other)

    def __gt__(self, other: Any) -> Any:
        return self._compare("lt", other, swap=True)

    def __ge__(self, other: Any) -> Any:
        return self._compare("le", other, swap=True)

    def __eq__(self, other: object) -> Any:
        return self._compare("eq", other)

    def _compare(self, name: str, other: Any, swap: bool = False) -> Any:
        return self._binary(other, lambda a, b: self.graph.compare(name, a, b), swap)

    def __bool__(self) -> bool:
        value = self.graph.value(self.node)
        if value is None:
            raise _unsupported(
                "a branch (if, and, or, max, np.maximum of a plain array) on a state or parameter",
                f"; compare entries of an array z that np.array has made one by one: {ENTRY_BY_ENTRY}",
            )
        return bool(value)

    def __float__(self) -> float:
        value = self.graph.value(self.node)
        if value is None:
            raise _unsupported("a conversion to a plain number (math.exp, float, int)")
        return value

    def __getattr__(self, name: str) -> Callable[[], Symbol]:
        """The methods that NumPy calls when it meets a symbol inside an object array (`exp`, …)."""
        if name in UNARY:
            return lambda: Symbol(self.graph, self.graph.unary(name, self.node))
        if name.startswith("__") or name in ("dtype", "shape", "ndim", "size"):
            raise AttributeError(name)
        raise _unsupported(f"'{name}' of a state or parameter")

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **options: Any) -> Any:
        if method != "__call__" or options.get("out") is not None:
            raise _unsupported(f"np.{ufunc.__name__}.{method}")
        if any(type(value).__array_ufunc__ is not np.ndarray.__array_ufunc__ for value in _arrays(inputs)):
            return NotImplemented
        if any(value.ndim for value in _arrays(inputs)):
            return np.frompyfunc(lambda *values: apply(ufunc, *values), len(inputs), 1)(*map(boxed, inputs))
        return apply(ufunc, *inputs)

    def __array_function__(self, function: Any, types: Any, args: Any, kwargs: Any) -> Any:
        if function is np.where and len(args) == 3:
            return where(*args)
        if function is np.clip:
            given = {**dict(zip(("a", "a_min", "a_max"), args, strict=False)), **kwargs}
            return minimum(maximum(given["a"], given["a_min"]), given["a_max"])
        return function(*map(boxed, args), **kwargs)


def _arrays(values: Iterable[Any]) -> list[Any]:
    return [value for value in values if isinstance(value, np.ndarray)]


def boxed(value: Any) -> Any:
    """A symbol as an array without dimensions, also inside lists; anything else as it is."""
    if isinstance(value, (list, tuple)):
        return type(value)(map(boxed, value))
    if not isinstance(value, Symbol):
        return value
    box = np.empty((), dtype=object)
    box[()] = value
    return box


_BINARY: dict[str, Callable[[Any, Any], Any]] = {
    "add": lambda a, b: a + b,
    "subtract": lambda a, b: a - b,
    "multiply": lambda a, b: a * b,
    "divide": lambda a, b: a / b,
    "power": lambda a, b: a**b,
    "float_power": lambda a, b: a**b,
    "less": lambda a, b: a < b,
    "less_equal": lambda a, b: a <= b,
    "greater": lambda a, b: a > b,
    "greater_equal": lambda a, b: a >= b,
    "equal": lambda a, b: a == b,
    "maximum": lambda a, b: maximum(a, b),
    "minimum": lambda a, b: minimum(a, b),
    "fmax": lambda a, b: maximum(a, b),
    "fmin": lambda a, b: minimum(a, b),
    "hypot": lambda a, b: (a * a + b * b) ** 0.5,
    "logaddexp": lambda a, b: _log_of_sum(a, b),
}
_ACTIVATION: dict[str, Callable[[Any], Any]] = {
    "expit": lambda z: 0.5 + 0.5 * np.tanh(0.5 * z),
    "log_expit": lambda z: -_log_of_sum(0.0, -z),
}
"""Functions of scipy.special."""
_ALIAS = {"negative": "neg", "absolute": "abs", "fabs": "abs"}


def apply(ufunc: np.ufunc, *values: Any) -> Any:
    """A NumPy function applied to single values of which one is a symbol."""
    values = tuple(
        value.item()
        if isinstance(value, np.generic) or (isinstance(value, np.ndarray) and value.ndim == 0)
        else value
        for value in values
    )
    symbol = next((value for value in values if isinstance(value, Symbol)), None)
    if symbol is None:
        return ufunc(*values)
    name = _ALIAS.get(ufunc.__name__, ufunc.__name__)
    if len(values) == 1:
        if name == "reciprocal":
            return 1.0 / symbol
        if name == "positive":
            return symbol
        if name == "square":
            return symbol * symbol
        if name in _ACTIVATION:
            return _ACTIVATION[name](symbol)
        if name not in UNARY:
            raise _unsupported(f"np.{ufunc.__name__}")
        return getattr(symbol, name)()
    if name in _BINARY and len(values) == 2:
        return _BINARY[name](*values)
    if name == "clip":
        value, low, high = values
        return minimum(maximum(value, low), high)
    raise _unsupported(f"np.{ufunc.__name__}")


def product(left: Any, right: Any) -> Any:
    """``left @ right``, each entry one row of a product; None where neither holds a symbol.

    One of them may hold plain numbers.

    Raises:
        InputError: The shapes do not fit.
    """
    arrays = [np.asarray(side, dtype=object) for side in (left, right)]
    graph = next((one.graph for side in arrays for one in side.flat if isinstance(one, Symbol)), None)
    shapes = [array.shape for array in arrays]
    if not all(shapes) or max(map(len, shapes)) > 2:
        return None
    if shapes[0][-1] != shapes[1][-2:][0]:
        raise InputError(
            Mistake(
                "equations",
                f"a product of arrays of the shapes {shapes[0]} and {shapes[1]}",
                f"the last dimension of the first, {shapes[0][-1]}, must equal the first dimension of the "
                f"second, {shapes[1][-2:][0]}",
            )
        )
    if graph is None:
        return None
    rows, columns = np.atleast_2d(arrays[0]), np.atleast_2d(arrays[1].T)
    nodes = [[[constant_node(graph, one) for one in vector] for vector in side] for side in (rows, columns)]
    made = np.empty((len(rows), len(columns)), dtype=object)
    for i, row in enumerate(nodes[0]):
        for j, column in enumerate(nodes[1]):
            made[i, j] = Symbol(graph, graph.dot(row, column))
    return made.reshape(shapes[0][:-1] + shapes[1][1:])[()]


def where(condition: Any, a: Any, b: Any) -> Any:
    """np.where with symbols: `a` where the condition holds, else `b`."""
    if not any(isinstance(value, Symbol) for value in (condition, a, b)):
        return np.where(condition, a, b)
    symbol = next(value for value in (condition, a, b) if isinstance(value, Symbol))
    c, x, y = (symbol._other(value) for value in (condition, a, b))
    if c is None or x is None or y is None:
        return np.frompyfunc(where, 3, 1)(*(np.asarray(boxed(value)) for value in (condition, a, b)))
    return Symbol(symbol.graph, symbol.graph.select(c, x, y))


def held(value: Any) -> Any:
    """A value that is not differentiated, for what a result does not depend on, such as a shift."""
    if not isinstance(value, Symbol):
        return value
    return Symbol(value.graph, value.graph.unary("held", value.node))


def _log_of_sum(a: Any, b: Any) -> Any:
    """log(exp a + exp b), which a shift of both does not change; the larger one is taken out, as it is."""
    top = held(maximum(a, b))
    return top + np.log(np.exp(a - top) + np.exp(b - top))


def maximum(a: Any, b: Any) -> Any:
    """The larger of the two."""
    return where(a < b, b, a)


def minimum(a: Any, b: Any) -> Any:
    """The smaller of the two."""
    return where(b < a, b, a)


def constant_node(graph: Graph, value: Any) -> int:
    """The node of what an equation returned: a symbol, or a plain number."""
    if isinstance(value, np.ndarray) and value.ndim == 0:
        value = value.item()
    if isinstance(value, Symbol):
        return value.node
    if isinstance(value, (int, float, np.integer, np.floating)) and math.isfinite(value):
        return graph.constant(float(value))
    raise InputError(
        Mistake(
            "equations",
            f"one of the returned values is {value!r}",
            "return one finite number or expression per state",
        )
    )
