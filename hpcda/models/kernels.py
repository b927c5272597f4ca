"""From equations to C: a vector function of named inputs with its sparse first and second derivatives.

The C code works on vectors of W numbers at once, one lane a path, so that the compiler uses the widest
registers of the machine; with W = 1 it is scalar code. Long code is cut in pieces, each compiled on its own,
because compilers slow down on long functions.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from hpcda.models.graph import Graph
from hpcda.models.trace import Symbol, constant_node

PIECE = 400

_INFIX = {"add": "+", "sub": "-", "mul": "*", "div": "/"}
_CALL = {"abs": "fabs", "arcsin": "asin", "arccos": "acos", "arctan": "atan"}
_NUMBER = {"inf": "INFINITY", "-inf": "-INFINITY", "nan": "NAN"}
_TEST = {"lt": "<", "le": "<=", "eq": "=="}
_FUNCTIONS = (
    "exp", "log", "sqrt", "sin", "cos", "tan", "sinh", "cosh", "tanh", "asin", "acos", "atan", "fabs",
    "log1p", "expm1", "floor",
)  # fmt: skip
_VECTORIZED = (
    "exp", "log", "sin", "cos", "tan", "sinh", "cosh", "tanh", "asin", "acos", "atan", "log1p", "expm1",
)  # fmt: skip
"""Functions that Linux's C library has for whole vectors (libmvec), right to 4 units in the last place."""


def prelude(lanes: int) -> str:
    """What generated code needs before it: the vector type `vd` of `lanes` numbers and its functions.

    A function of 2, 4 or 8 lanes gives the same bits: it is the one of as many numbers as the registers hold.
    """
    each = " ".join(f"EACH({name}, {name}(a[i]))" for name in _FUNCTIONS if name not in _VECTORIZED)
    wide = " ".join(f"WIDE({name})" for name in _VECTORIZED)
    return f"""
#include <math.h>
#include <string.h>
#include <stdlib.h>
#define W {lanes}
#define STAGE static __attribute__((noinline))
#define LANES(value) vd r; for (int i = 0; i < W; i++) r[i] = value; return r;
typedef double vd __attribute__((vector_size(8 * W), aligned(8)));
typedef long long vl __attribute__((vector_size(8 * W), aligned(8)));
#define EACH(name, value) static inline vd v_##name(vd a) {{ LANES(value) }}
#if defined(__GLIBC__) && defined(__x86_64__) && W > 1
#if __GLIBC_PREREQ(2, 35) && defined(__AVX512F__)
#define TOGETHER 8
#define OF_MATH(name) _ZGVeN8v_##name
#elif __GLIBC_PREREQ(2, 35) && defined(__AVX2__)
#define TOGETHER 4
#define OF_MATH(name) _ZGVdN4v_##name
#endif
#endif
#ifdef OF_MATH
typedef double vm __attribute__((vector_size(8 * TOGETHER)));
#define WIDE(name) vm OF_MATH(name)(vm); static inline vd v_##name(vd a) {{ \
  vd r; \
  for (int from = 0; from < W; from += TOGETHER) {{ \
    vm some; \
    for (int i = 0; i < TOGETHER; i++) some[i] = a[(from + i) % W]; \
    some = OF_MATH(name)(some); \
    for (int i = 0; i < TOGETHER && from + i < W; i++) r[from + i] = some[i]; \
  }} \
  return r; }}
#endif
#ifndef WIDE
#define WIDE(name) EACH(name, name(a[i]))
#endif
{wide}
{each}
EACH(sign, (double)((a[i] > 0) - (a[i] < 0)))
static inline vd v_pow(vd a, double y) {{ LANES(pow(a[i], y)) }}
static inline vd v_pick(vd c, vd a, vd b) {{ LANES(c[i] != 0.0 ? a[i] : b[i]) }}
static inline vd v_all(double x) {{ LANES(x) }}
static inline vd v_if(vl c, vd a, vd b) {{ return (vd)((c & (vl)a) | (~c & (vl)b)); }}
"""


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
    lines = [f"  const vd n{node} = {_expression(graph, node)};" for node in graph.reach(nodes[first:last])]
    lines += [f"  out[{index}] = n{nodes[index]};" for index in range(first, last)]
    body = "\n".join(lines)
    unused = "  (void)v; (void)c; (void)s; (void)t; (void)mu;"
    return f"static __attribute__((noinline)) void {name}({_ARGUMENTS}) {{\n{unused}\n{body}\n}}\n"


def _expression(graph: Graph, node: int) -> str:
    op, *rest = graph.keys[node]
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
