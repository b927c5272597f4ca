"""A vector function of named inputs as traced expressions, with its sparse first and second derivatives."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from hpcda.models.graph import Graph
from hpcda.models.trace import Symbol, constant_node


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
