"""Tracing: run plain Python equations on symbols and record them as one graph.

Equal subexpressions are one node. Nodes are numbered in the order of their making, so that arguments always
stand before what uses them.
Derivatives are taken on the graph itself (reverse accumulation, Griewank & Walther, Evaluating Derivatives,
SIAM 2008, ch. 3) and become nodes like any other.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any, ClassVar

import numpy as np

from hpcda.errors import InputError, Mistake

Key = tuple[Any, ...]
UNARY = (
    "neg", "exp", "log", "sqrt", "sin", "cos", "tan", "sinh", "cosh", "tanh", "arcsin", "arccos", "arctan",
    "abs", "sign", "log1p", "expm1", "floor",
)  # fmt: skip
COMPARE: dict[str, Callable[[float, float], bool]] = {
    "lt": lambda a, b: a < b,
    "le": lambda a, b: a <= b,
    "eq": lambda a, b: a == b,
}


class Graph:
    """All nodes of one trace; equal expressions are one node."""

    def __init__(self) -> None:
        self.keys: list[Key] = []
        self._index: dict[Key, int] = {}

    def node(self, *key: Any) -> int:
        """The number of the node ``(operation, arguments…)``, made if it is new."""
        number = self._index.get(key)
        if number is None:
            number = len(self.keys)
            self.keys.append(key)
            self._index[key] = number
        return number

    def constant(self, value: float) -> int:
        """A number."""
        return self.node("const", float(value))

    def value(self, node: int) -> float | None:
        """The number that a constant node holds, or None."""
        key = self.keys[node]
        return key[1] if key[0] == "const" else None

    def input(self, kind: str, index: int) -> Symbol:
        """The symbol of entry `index` of the input array `kind`."""
        return Symbol(self, self.node("input", kind, index))

    def add(self, a: int, b: int) -> int:
        """A + b."""
        x, y = self.value(a), self.value(b)
        if x is not None and y is not None:
            return self.constant(x + y)
        if x == 0.0:
            return b
        if y == 0.0:
            return a
        if self.keys[b][0] == "neg":
            return self.subtract(a, self.keys[b][1])
        if self.keys[a][0] == "neg":
            return self.subtract(b, self.keys[a][1])
        return self.node("add", *sorted((a, b)))

    def subtract(self, a: int, b: int) -> int:
        """A − b."""
        x, y = self.value(a), self.value(b)
        if x is not None and y is not None:
            return self.constant(x - y)
        if a == b:
            return self.constant(0.0)
        if y == 0.0:
            return a
        if x == 0.0:
            return self.unary("neg", b)
        if self.keys[b][0] == "neg":
            return self.add(a, self.keys[b][1])
        return self.node("sub", a, b)

    def multiply(self, a: int, b: int) -> int:
        """A · b."""
        x, y = self.value(a), self.value(b)
        if x is not None and y is not None:
            return self.constant(x * y)
        if x is not None:
            a, b, x, y = b, a, y, x
        if y == 0.0:
            return self.constant(0.0)
        if y == 1.0:
            return a
        if y == -1.0:
            return self.unary("neg", a)
        if self.keys[a][0] == "neg":
            return self.unary("neg", self.multiply(self.keys[a][1], b))
        if self.keys[b][0] == "neg":
            return self.unary("neg", self.multiply(a, self.keys[b][1]))
        return self.node("mul", *sorted((a, b)))

    def divide(self, a: int, b: int) -> int:
        """A / b."""
        y = self.value(b)
        if y is not None:
            if y == 0.0:
                raise ZeroDivisionError("the equations divide by zero")
            return self.multiply(a, self.constant(1.0 / y))
        if self.value(a) == 0.0:
            return a
        return self.node("div", a, b)

    def power(self, a: int, b: int) -> int:
        """A to the power b; small whole exponents become products."""
        x, y = self.value(a), self.value(b)
        if x is not None and y is not None:
            return self.constant(x**y)
        if y is None:
            return self.unary("exp", self.multiply(b, self.unary("log", a)))
        if y == 0.0:
            return self.constant(1.0)
        if y < 0.0:
            return self.divide(self.constant(1.0), self.power(a, self.constant(-y)))
        if y == 0.5:
            return self.unary("sqrt", a)
        if y.is_integer() and y <= 16:
            half = self.power(a, self.constant(y // 2)) if y > 1 else self.constant(1.0)
            square = self.multiply(half, half)
            return self.multiply(square, a) if y % 2 else square
        return self.node("pow", a, y)

    def unary(self, name: str, a: int) -> int:
        """A function of one argument."""
        x = self.value(a)
        if x is not None:
            return self.constant(-x if name == "neg" else float(getattr(np, name)(x)))
        if name == "neg" and self.keys[a][0] == "neg":
            return int(self.keys[a][1])
        return self.node(name, a)

    def compare(self, name: str, a: int, b: int) -> int:
        """1 where the comparison holds, else 0."""
        x, y = self.value(a), self.value(b)
        if x is not None and y is not None:
            return self.constant(float(COMPARE[name](x, y)))
        return self.node(name, a, b)

    def select(self, condition: int, a: int, b: int) -> int:
        """`a` where the condition is not 0, else `b`."""
        c = self.value(condition)
        if c is not None:
            return a if c else b
        return a if a == b else self.node("select", condition, a, b)

    def arguments(self, node: int) -> tuple[int, ...]:
        """The nodes that `node` is computed from."""
        key = self.keys[node]
        if key[0] in ("const", "input"):
            return ()
        return (key[1],) if key[0] == "pow" else tuple(key[1:])

    def reach(self, roots: Iterable[int]) -> list[int]:
        """All nodes that `roots` need, themselves included, in the order of computation."""
        seen: set[int] = set()
        stack = list(roots)
        while stack:
            node = stack.pop()
            if node not in seen:
                seen.add(node)
                stack.extend(self.arguments(node))
        return sorted(seen)

    def partials(self, node: int) -> list[tuple[int, int]]:
        """Each argument of `node` with the partial derivative by it."""
        op, *rest = self.keys[node]
        one = self.constant(1.0)
        if op == "add":
            return [(rest[0], one), (rest[1], one)]
        if op == "sub":
            return [(rest[0], one), (rest[1], self.constant(-1.0))]
        if op == "mul":
            return [(rest[0], rest[1]), (rest[1], rest[0])]
        if op == "div":
            return [
                (rest[0], self.divide(one, rest[1])),
                (rest[1], self.unary("neg", self.divide(node, rest[1]))),
            ]
        if op == "pow":
            a, y = rest
            return [(a, self.multiply(self.constant(y), self.power(a, self.constant(y - 1.0))))]
        if op == "select":
            zero = self.constant(0.0)
            return [(rest[1], self.select(rest[0], one, zero)), (rest[2], self.select(rest[0], zero, one))]
        if op in COMPARE or op in ("sign", "floor"):
            return []
        return [(rest[0], self._slope(op, rest[0], node))]

    def _slope(self, op: str, a: int, node: int) -> int:
        one = self.constant(1.0)

        def square(n: int) -> int:
            return self.multiply(n, n)

        match op:
            case "neg":
                return self.constant(-1.0)
            case "exp":
                return node
            case "expm1":
                return self.add(node, one)
            case "log":
                return self.divide(one, a)
            case "log1p":
                return self.divide(one, self.add(a, one))
            case "sqrt":
                return self.divide(self.constant(0.5), node)
            case "sin":
                return self.unary("cos", a)
            case "cos":
                return self.unary("neg", self.unary("sin", a))
            case "tan":
                return self.add(one, square(node))
            case "sinh":
                return self.unary("cosh", a)
            case "cosh":
                return self.unary("sinh", a)
            case "tanh":
                return self.subtract(one, square(node))
            case "arcsin":
                return self.divide(one, self.unary("sqrt", self.subtract(one, square(a))))
            case "arccos":
                return self.unary("neg", self.divide(one, self.unary("sqrt", self.subtract(one, square(a)))))
            case "arctan":
                return self.divide(one, self.add(one, square(a)))
            case "abs":
                return self.unary("sign", a)
        raise AssertionError(op)

    def gradient(self, root: int) -> dict[int, int]:
        """Input node -> derivative of `root` by it, for every input that `root` depends on."""
        if self.value(root) is not None:
            return {}
        adjoint = {root: self.constant(1.0)}
        found: dict[int, int] = {}
        for node in reversed(self.reach([root])):
            weight = adjoint.pop(node, None)
            if weight is None:
                continue
            if self.keys[node][0] == "input":
                found[node] = weight
                continue
            for argument, slope in self.partials(node):
                term = self.multiply(weight, slope)
                if self.value(term) == 0.0 or self.value(argument) is not None:
                    continue
                adjoint[argument] = self.add(adjoint[argument], term) if argument in adjoint else term
        return {node: weight for node, weight in sorted(found.items()) if self.value(weight) != 0.0}


def _unsupported(what: str) -> InputError:
    return InputError(
        Mistake(
            "equations",
            f"{what} cannot be differentiated",
            "write it with + - * / **, comparisons inside np.where, and NumPy functions such as np.exp",
        )
    )


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
            raise _unsupported("a decision (if, and, or, max, np.maximum of arrays) on a state or parameter")
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
}
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
        if name not in UNARY:
            raise _unsupported(f"np.{ufunc.__name__}")
        return getattr(symbol, name)()
    if name in _BINARY and len(values) == 2:
        return _BINARY[name](*values)
    if name == "clip":
        value, low, high = values
        return minimum(maximum(value, low), high)
    raise _unsupported(f"np.{ufunc.__name__}")


def where(condition: Any, a: Any, b: Any) -> Any:
    """np.where with symbols: `a` where the condition holds, else `b`."""
    if not any(isinstance(value, Symbol) for value in (condition, a, b)):
        return np.where(condition, a, b)
    symbol = next(value for value in (condition, a, b) if isinstance(value, Symbol))
    c, x, y = (symbol._other(value) for value in (condition, a, b))
    if c is None or x is None or y is None:
        return np.frompyfunc(where, 3, 1)(*(np.asarray(boxed(value)) for value in (condition, a, b)))
    return Symbol(symbol.graph, symbol.graph.select(c, x, y))


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
            "return one finite number or expression a state",
        )
    )
