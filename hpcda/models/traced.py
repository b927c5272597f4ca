"""A traced vector function of named inputs, with sparse first and second derivatives."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from hpcda.models.graph import Graph
from hpcda.models.products import Products
from hpcda.models.trace import Symbol, constant_node

FEWEST = 50
"""Multiplications in products of arrays from which on these stay products; fewer are straight-line code."""


@dataclass(frozen=True)
class Traced:
    """A vector function f(v, c, s, t) with f of length `rows`, and what its derivatives by v are made of.

    Attributes:
        graph: The graph that holds all expressions.
        values: One node a row.
        jacobian: (row, variable) of every entry of ∂f/∂v that is not zero by its form, row by row.
        jacobian_nodes: One node an entry; none where there are products.
        hessian: (variable k, variable l ≤ k) of every entry of ∂²(μ·f)/∂v² that is not zero by its form.
        hessian_nodes: One node an entry; they depend on the input μ; none where there are products.
        products: How they are computed where the function has products of arrays.
    """

    graph: Graph
    values: list[int]
    jacobian: list[tuple[int, int]]
    jacobian_nodes: list[int]
    hessian: list[tuple[int, int]]
    hessian_nodes: list[int]
    products: Products | None = None

    @property
    def rows(self) -> int:
        """Length of f."""
        return len(self.values)


Given = Callable[[str, int], Symbol]


def trace(function: Callable[[Given], Sequence[Any]]) -> Traced:
    """Trace ``function(input)``, where ``input("v", k)`` is variable k, and differentiate it.

    Args:
        function: Returns the values of f; takes its inputs from the function that it is given: kinds "v"
            (variables), "c" (constants), "s" (known series) and "t" (time, index 0).

    Raises:
        InputError: The function does what cannot be differentiated, or returns what is not a number.
    """
    return differentiated(*recorded(function), 2)


def recorded(function: Callable[[Given], Sequence[Any]]) -> tuple[Graph, list[int]]:
    """The graph of a function as `trace` takes it, and the nodes of its values.

    Raises:
        InputError: The function does what cannot be differentiated, or returns what is not a number.
    """
    for products in (True, False):
        graph = Graph(products)

        def given(kind: str, index: int, graph: Graph = graph) -> Symbol:
            return Symbol(graph, graph.input(kind, index))

        values = [constant_node(graph, value) for value in function(given)]
        rows = [key for key in map(graph.keys.__getitem__, graph.reach(values)) if key[0] == "dot"]
        if not rows or sum(len(key[1]) for key in rows) >= FEWEST:
            break
    return graph, values


def differentiated(graph: Graph, values: list[int], order: int) -> Traced:
    """Nodes of a graph as a function, with derivatives up to an order of 0, 1 or 2."""
    if any(graph.keys[node][0] == "dot" for node in graph.reach(values)):
        products = Products(graph, values, order)
        return Traced(graph, values, products.jacobian, [], products.hessian, [], products)
    jacobian: list[tuple[int, int]] = []
    jacobian_nodes: list[int] = []
    hessian: list[tuple[int, int]] = []
    hessian_nodes: list[int] = []
    total = graph.constant(0.0)
    for row, value in enumerate(values if order else ()):
        for variable, node in _by_variable(graph, value):
            jacobian.append((row, variable))
            jacobian_nodes.append(node)
        if order > 1:
            total = graph.add(total, graph.multiply(graph.input("mu", row), value))
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
