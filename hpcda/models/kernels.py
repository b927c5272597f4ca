"""From equations to C: a vector function of named inputs with its sparse first and second derivatives.

The C code works on vectors of W numbers at once, one lane a path, so that the compiler uses the widest
registers of the machine; with W = 1 it is scalar code. A sum that takes in a product rounds once (lanes.h).
Long code is cut in pieces, each compiled on its own, because compilers slow down on long functions.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

from hpcda.models.graph import Graph
from hpcda.models.trace import Symbol, constant_node

PIECE = 400

_INFIX = {"add": "+", "sub": "-", "mul": "*", "div": "/"}
_CALL = {"abs": "fabs", "arcsin": "asin", "arccos": "acos", "arctan": "atan"}
_NUMBER = {"inf": "INFINITY", "-inf": "-INFINITY", "nan": "NAN"}
_TEST = {"lt": "<", "le": "<=", "eq": "=="}


def prelude(lanes: int) -> str:
    """What generated code needs before it: the vector type `vd` of `lanes` numbers and its functions.

    The sources are lanes.h and functions.h. Every width gives the same bits.
    """
    texts = [files("hpcda.models").joinpath(name).read_text() for name in ("lanes.h", "functions.h")]
    return "\n".join([f"#define W {lanes}", *texts])


@dataclass(frozen=True)
class Traced:
    """A vector function f(v, c, s, t) with f of length `rows`, and what its derivatives by v are made of.

    Attributes:
        graph: The graph that holds all expressions.
        values: One node a row.
        jacobian: (row, variable) of every entry of ∂f/∂v that is not zero by its form, row by row.
        jacobian_nodes: One node an entry.
        hessian: (variable k, variable l ≤ k) of every entry of ∂²(μ·f)/∂v² that is not zero by its form.
        hessian_nodes: One node an entry; they depend on the input μ.
    """

    graph: Graph
    values: list[int]
    jacobian: list[tuple[int, int]]
    jacobian_nodes: list[int]
    hessian: list[tuple[int, int]]
    hessian_nodes: list[int]

    @property
    def rows(self) -> int:
        """Length of f."""
        return len(self.values)


def trace(function: Callable[[Callable[[str, int], Symbol]], Sequence[Any]]) -> Traced:
    """Trace ``function(input)``, where ``input("v", k)`` is variable k, and differentiate it.

    Args:
        function: Returns the values of f; takes its inputs from the function that it is given: kinds "v"
            (variables), "c" (constants), "s" (known series) and "t" (time, index 0).

    Raises:
        InputError: The function does what cannot be differentiated, or returns what is not a number.
    """
    graph = Graph()

    def given(kind: str, index: int) -> Symbol:
        return Symbol(graph, graph.input(kind, index))

    values = [constant_node(graph, value) for value in function(given)]
    jacobian: list[tuple[int, int]] = []
    jacobian_nodes: list[int] = []
    total = graph.constant(0.0)
    for row, value in enumerate(values):
        for variable, node in _by_variable(graph, value):
            jacobian.append((row, variable))
            jacobian_nodes.append(node)
        total = graph.add(total, graph.multiply(graph.input("mu", row), value))
    hessian: list[tuple[int, int]] = []
    hessian_nodes: list[int] = []
    for k, slope in _by_variable(graph, total):
        for l, node in _by_variable(graph, slope):  # noqa: E741
            if l <= k:
                hessian.append((k, l))
                hessian_nodes.append(node)
    return Traced(graph, values, jacobian, jacobian_nodes, hessian, hessian_nodes)


def _by_variable(graph: Graph, root: int) -> list[tuple[int, int]]:
    found = [
        (graph.keys[node][2], slope)
        for node, slope in graph.gradient(root).items()
        if graph.keys[node][1] == "v"
    ]
    return sorted(found)


def source(traced: Traced, prefix: str) -> str:
    """C functions ``{prefix}_values``, ``{prefix}_jacobian`` and ``{prefix}_hessian`` of one traced function.

    Each has the signature ``(const vd *v, const vd *c, const vd *s, const vd *t, const vd *mu, vd *out)``.
    """
    graph = traced.graph
    return "\n".join(
        [
            _function(graph, traced.values, f"{prefix}_values"),
            _function(graph, traced.jacobian_nodes, f"{prefix}_jacobian"),
            _function(graph, traced.hessian_nodes, f"{prefix}_hessian"),
        ]
    )


_ARGUMENTS = ", ".join(
    [*(f"const vd *restrict {name}" for name in ("v", "c", "s", "t", "mu")), "vd *restrict out"]
)


def _function(graph: Graph, nodes: list[int], name: str) -> str:
    pieces: list[str] = []
    first = 0
    while first < len(nodes):
        last, reached = first, set[int]()
        while last < len(nodes) and len(reached) < PIECE:
            reached |= set(graph.reach([nodes[last]]))
            last += 1
        pieces.append(_piece(graph, nodes, first, last, f"{name}_{len(pieces)}"))
        first = last
    calls = "".join(f"  {name}_{number}(v, c, s, t, mu, out);\n" for number in range(len(pieces)))
    unused = "  (void)v; (void)c; (void)s; (void)t; (void)mu; (void)out;\n"
    return "".join(pieces) + f"static void {name}({_ARGUMENTS}) {{\n{unused}{calls}}}\n"


def _piece(graph: Graph, nodes: list[int], first: int, last: int, name: str) -> str:
    reached = graph.reach(nodes[first:last])
    fused = _fused(graph, reached, set(nodes[first:last]))
    swallowed = set(fused.values())
    lines = [
        f"  const vd n{node} = {_expression(graph, node, fused.get(node))};"
        for node in reached
        if node not in swallowed
    ]
    lines += [f"  out[{index}] = n{nodes[index]};" for index in range(first, last)]
    body = "\n".join(lines)
    unused = "  (void)v; (void)c; (void)s; (void)t; (void)mu;"
    return f"static __attribute__((noinline)) void {name}({_ARGUMENTS}) {{\n{unused}\n{body}\n}}\n"


def _fused(graph: Graph, reached: Sequence[int], kept: set[int]) -> dict[int, int]:
    """Sums and differences -> the product that each takes in, by one rounding; nothing else needs it."""
    uses = Counter(argument for node in reached for argument in graph.arguments(node))
    found: dict[int, int] = {}
    for node in reached:
        op, *rest = graph.keys[node]
        if op in ("add", "sub") and rest[0] != rest[1]:
            products = [
                term for term in rest if graph.keys[term][0] == "mul" and uses[term] == 1 and term not in kept
            ]
            if products:
                found[node] = products[-1]
    return found


def _expression(graph: Graph, node: int, product: int | None = None) -> str:
    op, *rest = graph.keys[node]
    if product is not None:
        a, b = graph.keys[product][1:]
        if op == "add":
            return f"v_fma(n{a}, n{b}, n{rest[0] if product == rest[1] else rest[1]})"
        if product == rest[1]:
            return f"v_fnma(n{a}, n{b}, n{rest[0]})"
        return f"v_fma(n{a}, n{b}, -n{rest[1]})"
    if op == "const":
        return f"v_all({_NUMBER.get(repr(rest[0]), repr(rest[0]))})"
    if op == "input":
        return f"{rest[0]}[{rest[1]}]"
    if op in _INFIX:
        return f"n{rest[0]} {_INFIX[op]} n{rest[1]}"
    if op == "neg":
        return f"-n{rest[0]}"
    if op == "pow":
        return f"v_pow(n{rest[0]}, {rest[1]!r})"
    if op == "select":
        return f"v_pick(n{rest[0]}, n{rest[1]}, n{rest[2]})"
    if op in _TEST:
        return f"__builtin_convertvector(-(n{rest[0]} {_TEST[op]} n{rest[1]}), vd)"
    return f"v_{_CALL.get(op, op)}(n{rest[0]})"
