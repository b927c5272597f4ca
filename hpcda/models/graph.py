"""The graph of all expressions of a trace, equal subexpressions stored once, and derivatives on it.

Equal subexpressions are one node. Nodes are numbered in the order of their making, so that arguments always
stand before what uses them. Derivatives are taken on the graph itself (reverse accumulation, Griewank,
Walther, Evaluating Derivatives, SIAM 2008, ch. 3) and become nodes like any other.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Collection, Iterable, Sequence
from functools import partial, reduce
from typing import Any

import numpy as np

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


def function_value(name: str, x: float) -> float:
    """A function of a plain number, by the C library: NumPy's own code differs between processors."""
    if name in ("neg", "sign", "held"):
        return {"neg": -x, "sign": float(np.sign(x)), "held": x}[name]
    by_library = getattr(math, {"abs": "fabs"}.get(name, name.replace("arc", "a")))
    try:
        return float(by_library(x))
    except (ValueError, OverflowError):  # not finite: NumPy says how
        return float(getattr(np, name)(x))


class Graph:
    """All nodes of one trace; equal expressions are one node.

    Args:
        products: Whether a row of a product of arrays stays one node, ``("dot", (w…), (a…))``; else it is a
            sum like any other.
    """

    def __init__(self, products: bool = True) -> None:
        self.products = products
        self.keys: list[Key] = []
        self._index: dict[Key, int] = {}
        self._guarded: list[bool] = []

    def node(self, *key: Any) -> int:
        """The number of the node ``(operation, arguments…)``, made if it is new."""
        number = self._index.get(key)
        if number is None:
            number = len(self.keys)
            self.keys.append(key)
            self._guarded.append(self._has_guard(key))
            self._index[key] = number
        return number

    def _has_guard(self, key: Key) -> bool:
        """Whether a sum holds a term that is 0 in a branch that np.where does not take."""
        op, *rest = key
        if op == "select":
            return any(self.value(node) == 0.0 or self._guarded[node] for node in rest[1:])
        return op in ("add", "sub", "neg") and any(self._guarded[node] for node in rest)

    def constant(self, value: float) -> int:
        """A number."""
        return self.node("const", float(value))

    def value(self, node: int) -> float | None:
        """The number that a constant node holds, or None."""
        key = self.keys[node]
        return key[1] if key[0] == "const" else None

    def input(self, kind: str, index: int) -> int:
        """Entry `index` of the input array `kind`."""
        return self.node("input", kind, index)

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

    def dot(self, left: Sequence[int], right: Sequence[int]) -> int:
        """Σ left · right, the first term first; terms with a 0 are left out."""
        pairs = [pair for pair in zip(left, right, strict=True) if 0.0 not in map(self.value, pair)]
        if self.products and len(pairs) > 1:
            return self.node("dot", tuple(a for a, _ in pairs), tuple(b for _, b in pairs))
        total = self.constant(0.0)
        for a, b in pairs:
            total = self.add(total, self.multiply(a, b))
        return total

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
            return self.constant(function_value(name, x))
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
        if key[0] == "dot":
            return (*key[1], *key[2])
        return (key[1],) if key[0] == "pow" else tuple(key[1:])

    def reach(self, roots: Iterable[int], given: Collection[int] = ()) -> list[int]:
        """All nodes that `roots` need, themselves included, in the order of computation.

        What the nodes `given` are computed from is not needed.
        """
        seen: set[int] = set()
        stack = list(roots)
        while stack:
            node = stack.pop()
            if node not in seen:
                seen.add(node)
                if node not in given:
                    stack.extend(self.arguments(node))
        return sorted(seen)

    def digest(self, roots: Iterable[int]) -> str:
        """Checksum of what some nodes compute, in their order.

        It does not depend on how nodes are numbered, nor on the order of two terms or factors.
        """
        roots = list(roots)
        found: dict[int, str] = {}

        def combined(op: str, *parts: str) -> str:
            ordered = sorted(parts) if op in ("add", "mul") else parts
            return hashlib.sha256(" ".join([op, *ordered]).encode()).hexdigest()

        for node in self.reach(roots):
            op, *rest = self.keys[node]
            parts = [found[argument] for argument in self.arguments(node)]
            if op == "dot":  # the sum that it stands for
                terms = [combined("mul", a, b) for a, b in zip(*np.split(np.array(parts), 2), strict=True)]
                found[node] = reduce(partial(combined, "add"), terms)
                continue
            parts += [repr(one) for one in rest] if op in ("const", "input") else []
            parts += [repr(rest[1])] if op == "pow" else []
            found[node] = combined(op, *parts)
        return hashlib.sha256(" ".join(found[root] for root in roots).encode()).hexdigest()

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
        if op in COMPARE or op in ("sign", "floor", "held"):
            return []
        if op == "dot":
            return [*zip(*rest, strict=True), *zip(*reversed(rest), strict=True)]
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

    def _terms(self, node: int, weight: int) -> list[tuple[int, int]]:
        """Each argument of `node` with the part of the derivative that comes through `node` to it."""
        if self.keys[node][0] != "select":
            return [(argument, self._through(weight, slope)) for argument, slope in self.partials(node)]
        condition, a, b = self.keys[node][1:]
        zero = self.constant(0.0)
        return [(a, self.select(condition, weight, zero)), (b, self.select(condition, zero, weight))]

    def _through(self, weight: int, slope: int) -> int:
        """The product; 0 in a branch that np.where does not take, even where the slope is not finite."""
        total, open_terms = self.constant(0.0), [(weight, False)]
        while open_terms:
            node, minus = open_terms.pop()
            op, *rest = self.keys[node]
            if not self._guarded[node]:
                term = self.multiply(node, slope)
            elif op == "select":
                term = self.select(rest[0], self._through(rest[1], slope), self._through(rest[2], slope))
            else:
                open_terms.append((rest[-1], minus != (op in ("sub", "neg"))))
                open_terms += [(rest[0], minus)] if len(rest) == 2 else []
                continue
            total = self.subtract(total, term) if minus else self.add(total, term)
        return total

    def _sum(self, a: int, b: int) -> int:
        """The sum, one choice where both depend on the same condition."""
        if self.keys[a][0] == self.keys[b][0] == "select" and self.keys[a][1] == self.keys[b][1]:
            (condition, p, q), (r, s) = self.keys[a][1:], self.keys[b][2:]
            return self.select(condition, self._sum(p, r), self._sum(q, s))
        return self.add(a, b)

    def gradient(self, root: int, given: Collection[int] = ()) -> dict[int, int]:
        """Input node -> derivative of `root` by it, for every input that `root` depends on.

        Nodes `given` count as inputs.
        """
        if self.value(root) is not None:
            return {}
        adjoint = {root: self.constant(1.0)}
        found: dict[int, int] = {}
        for node in reversed(self.reach([root], given)):
            weight = adjoint.pop(node, None)
            if weight is None:
                continue
            if self.keys[node][0] == "input" or node in given:
                found[node] = weight
                continue
            for argument, term in self._terms(node, weight):
                if self.value(term) == 0.0 or self.value(argument) is not None:
                    continue
                adjoint[argument] = self._sum(adjoint[argument], term) if argument in adjoint else term
        return {node: weight for node, weight in sorted(found.items()) if self.value(weight) != 0.0}
