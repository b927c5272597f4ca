"""First paths of any way to begin."""

from __future__ import annotations

from types import SimpleNamespace

from hpcda.action.native import Equations
from hpcda.annealing import Ladder
from hpcda.search import WAYS, SearchContext
from tests.chance import generator

LADDER = Ladder(0.01, 2.0, 12)


def context_of(problem, name=""):
    """A context whose action is compiled for the one way that minimizes; others take its equations alone."""
    if name == "grown":
        return SearchContext(problem, LADDER)
    return SearchContext(problem, LADDER, SimpleNamespace(equations=Equations(problem)))


def draw(problem, name, seed=1):
    """A first path."""
    path = WAYS[name].draw(context_of(problem, name), generator(seed))
    assert path.shape == (problem.size,)
    return path
