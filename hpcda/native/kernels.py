"""Generates C from traced equations: a vector function with sparse first and second derivatives.

The C code works on vectors of W numbers at once, one lane a path, so that the compiler uses the widest
registers of the machine; with W = 1 it is scalar code. A sum that takes in a product rounds once (lanes.h).
Long code is cut in pieces, each compiled on its own, because compilers slow down on long functions. Products
of arrays (`hpcda.models.products`) are loops.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from hpcda.native.steps import Expressions, Step

if TYPE_CHECKING:
    from hpcda.models.graph import Graph
    from hpcda.models.products import Products
    from hpcda.models.traced import Traced

PIECE = 400

_INFIX = {"add": "+", "sub": "-", "mul": "*", "div": "/"}
_CALL = {"abs": "fabs", "arcsin": "asin", "arccos": "acos", "arctan": "atan"}
_NUMBER = {"inf": "INFINITY", "-inf": "-INFINITY", "nan": "NAN"}
_TEST = {"lt": "<", "le": "<=", "eq": "=="}


def with_slopes(traced: Traced, prefix: str) -> str:
    """A C function ``{prefix}_with_slopes``: the values, then the Jacobian's entries; else as `source`."""
    return _function(traced.graph, [*traced.values, *traced.jacobian_nodes], f"{prefix}_with_slopes")


def source(traced: Traced, prefix: str) -> str:
    """C functions ``{prefix}_values``, ``{prefix}_jacobian`` and ``{prefix}_hessian`` of one traced function.

    Each has the signature ``(const vd *v, const vd *c, const vd *s, const vd *t, const vd *mu, vd *out)``.
    """
    graph = traced.graph
    if traced.products is not None:
        return _with_products(graph, traced.products, prefix)
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


def _function(graph: Graph, nodes: Sequence[int], name: str, known: Mapping[int, int] | None = None) -> str:
    """The nodes as a function; `known`: node -> place in an array `room` of what is computed already."""
    given, arguments, room = known or {}, _ARGUMENTS, ""
    if known is not None:
        arguments, room = f"{_ARGUMENTS}, const vd *room", ", room"
    pieces: list[str] = []
    first = 0
    while first < len(nodes):
        last, reached = first, set[int]()
        while last < len(nodes) and len(reached) < PIECE:
            reached |= set(graph.reach([nodes[last]], given))
            last += 1
        pieces.append(_piece(graph, nodes, (first, last), f"{name}_{len(pieces)}({arguments})", given))
        first = last
    calls = "".join(f"  {name}_{number}(v, c, s, t, mu, out{room});\n" for number in range(len(pieces)))
    unused = f"  (void)v; (void)c; (void)s; (void)t; (void)mu; (void)out;{' (void)room;' if room else ''}\n"
    return "".join(pieces) + f"static void {name}({arguments}) {{\n{unused}{calls}}}\n"


def _piece(
    graph: Graph, nodes: Sequence[int], part: tuple[int, int], head: str, known: Mapping[int, int]
) -> str:
    first, last = part
    reached = graph.reach(nodes[first:last], known)
    fused = _fused(
        graph, [node for node in reached if node not in known], set(nodes[first:last]) | known.keys()
    )
    swallowed = set(fused.values())
    lines = [
        f"  const vd n{node} = "
        + (f"room[{known[node]}]" if node in known else _expression(graph, node, fused.get(node)))
        + ";"
        for node in reached
        if node not in swallowed
    ]
    lines += [f"  out[{index}] = n{nodes[index]};" for index in range(first, last)]
    body = "\n".join(lines)
    unused = f"  (void)v; (void)c; (void)s; (void)t; (void)mu;{' (void)room;' if 'room' in head else ''}"
    return f"static __attribute__((noinline)) void {head} {{\n{unused}\n{body}\n}}\n"


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
    if op in ("neg", "held"):
        return f"{'-' if op == 'neg' else ''}n{rest[0]}"
    if op == "pow":
        return f"v_pow(n{rest[0]}, {rest[1]!r})"
    if op == "select":
        return f"v_pick(n{rest[0]}, n{rest[1]}, n{rest[2]})"
    if op in _TEST:
        return f"__builtin_convertvector(-(n{rest[0]} {_TEST[op]} n{rest[1]}), vd)"
    return f"v_{_CALL.get(op, op)}(n{rest[0]})"


def _with_products(graph: Graph, products: Products, prefix: str) -> str:
    """The functions of a graph with products, whose loops are those of products.h."""
    return '#include "products.h"\n' + "\n".join(
        _steps(graph, products, steps, f"{prefix}_{what}")
        for what, steps in (
            ("values", products.of_values),
            ("jacobian", products.of_jacobian),
            ("hessian", products.of_hessian),
        )
    )


def _steps(graph: Graph, products: Products, steps: Sequence[Step], name: str) -> str:
    variables, constants = products.variables, products.constants
    before, calls = list[str](), list[str]()
    for number, step in enumerate(steps):
        own = f"{name}_step{number}"
        if isinstance(step, Expressions):
            text = _function(graph, step.nodes, own, step.known)
            to = "out" if step.at is None else f"room + {step.at}"
            call = f"{own}(v, c, s, t, mu, {to}, room);"
        else:
            text, call = step.call(own)
        before.append(text)
        calls.append(f"  {call}\n")
    return (
        f"{''.join(before)}static void {name}({_ARGUMENTS}) {{\n"
        f"  static _Thread_local vd room[{products.room}];\n"
        "  (void)s; (void)t; (void)mu; (void)out;\n"
        "  room[0] = v_all(1);\n"
        f"  if ({variables}) memcpy(room + 1, v, sizeof(vd) * {variables});\n"
        f"  if ({constants}) memcpy(room + {1 + variables}, c, sizeof(vd) * {constants});\n"
        f"{''.join(calls)}}}\n"
    )
