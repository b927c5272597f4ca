"""A fill-reducing order of all unknowns (`hpcda.linalg.order`), in a tree of fronts (`hpcda.linalg.tree`)."""

from __future__ import annotations

from collections.abc import Callable

from hpcda.action import Action
from hpcda.action.blocks import pattern_of
from hpcda.annealing.elimination import FRONTS, EliminationSpec, Linear, Plan
from hpcda.linalg.elimination import Pattern
from hpcda.linalg.order import Order
from hpcda.linalg.tree import Tree


def plan(action: Action, order: Callable[[Pattern], Order] | None = None) -> Plan:
    """See `hpcda.annealing.elimination.EliminationSpec`.

    Args:
        action: The action.
        order: Finds the order, the shared unknowns last; None for the one with the least work.
    """
    pattern = pattern_of(action.problem, action.sparsity)
    tree = Tree.of(pattern, None if order is None else order(pattern), keep_shared=True)
    constants = len(action.problem.constants)
    return Plan.of_tree(tree, action.sparsity.gather - constants * (constants + 1) // 2)


ELIMINATION = EliminationSpec(
    "tree",
    "multifrontal with a fill-reducing ordering: many starts at once, or one path over several ranks",
    plan,
    place=1,
    alone=Linear(FRONTS, spread=True),
)
