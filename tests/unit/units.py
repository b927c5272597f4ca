"""Every translation unit that hpcda compiles, as C text: each C file, width and kind of equations."""

from __future__ import annotations

import numpy as np

from hpcda.action.chain import chain_factors
from hpcda.action.families import Graph
from hpcda.action.native import Equations, code
from hpcda.mechanics.lagrangian import lagrangian_unit
from hpcda.models.model import Model, Parameter, State
from hpcda.models.traced import trace
from hpcda.native.kernels import source, with_slopes
from hpcda.native.scalar import scalar_unit
from hpcda.native.unit import unit
from tests.unit.action.losses.test_losses import with_noise
from tests.unit.graphs import GRAPHS
from tests.unit.problems import example

WIDTHS = (1, 2, 4, 8)
NETWORK = Model(
    "network",
    tuple(State(f"x{k}", range=(-1.0, 1.0)) for k in range(3)),
    tuple(
        Parameter(name, 0.1, range=(-0.8, 0.8), shape=shape)
        for name, shape in (("W", (9, 3)), ("b", (9,)), ("V", (3, 9)))
    ),
    lambda x, p: p.V @ np.tanh(p.W @ x + p.b) - x,
)
"""With enough multiplications for its products to stay products."""
PROBLEMS = {
    "products": lambda: example(NETWORK, "trapezoid", "nonlinear and gaps"),
    "trapezoid": lambda: with_noise("student-t", "trapezoid", True),
    "rk4": lambda: example("lorenz96", "rk4", "walk"),
    "hermite-simpson": lambda: example("lorenz96", "hermite-simpson", "nonlinear and gaps"),
    "implicit-midpoint": lambda: example("lorenz96", "implicit-midpoint", "priors and sparse data"),
}
"""Stages that neighbors share, chained ones, those of two steps, those inside a step; noise of all kinds;
products of arrays."""


def units():
    """(name, C text) of every unit."""
    found = {name: unit(1, name) for name in ("banded.c", "symbolic.c")}
    for scheme, problem in PROBLEMS.items():
        equations = Equations(problem()[0])
        found[f"single.c {scheme}"] = code(equations, 1, "single.c")
        found[f"lagrangian.c {scheme}"] = lagrangian_unit(equations)
        for lanes in WIDTHS:
            found[f"climb.c {scheme} {lanes}"] = code(equations, lanes, "lockstep.c", "climb.c")
    for lanes in WIDTHS:
        found[f"tree_single.c {lanes}"] = unit(lanes, "tree_single.c")
        sigmoid = trace(lambda given: [1.0 / (1.0 + np.exp(-given("v", 0)))])
        generated = [source(sigmoid, "given"), with_slopes(sigmoid, "given")]
        found[f"instances.c {lanes}"] = unit(lanes, "instances.c", generated=generated)
        for name in ("smoother.c", "rates.c"):
            found[f"{name} {lanes}"] = unit(lanes, name, generated=[equations.code])
    for name, make in GRAPHS.items():
        variables, factors = make()
        graph = Graph(variables.size, factors)
        for lanes in (1, 8):
            found[f"graph.c {name} {lanes}"] = graph.code(lanes, "graph.c")
        for lanes in WIDTHS if name == "softmax" else ():
            found[f"graph_steps.c {lanes}"] = graph.code(lanes, "graph_steps.c", "climb.c")
    for scheme, problem in PROBLEMS.items():
        graph = Graph(problem()[0].size, chain_factors(problem()[0]))
        found[f"graph.c {scheme} 8"] = graph.code(8, "graph.c")
    model, observed = source(equations.model, "model"), source(equations.observed, "observe")
    found["flow.c"] = scalar_unit([model], "flow.c")
    found["stiff.c"] = scalar_unit([model, source(equations.observed, "switch")], "stiff.c")
    found["pointwise.c"] = scalar_unit([observed], "pointwise.c")
    return found
