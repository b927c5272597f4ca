"""A fill-reducing order of all unknowns (`hpcda.linalg.order`), in a tree of fronts (`hpcda.linalg.tree`)."""

from __future__ import annotations

from hpcda.action import Action
from hpcda.action.blocks import pattern_of
from hpcda.annealing.elimination import EliminationSpec, Plan
from hpcda.linalg.tree import Tree


def plan(action: Action) -> Plan:
    """See `hpcda.annealing.elimination.EliminationSpec`."""
    tree = Tree.of(pattern_of(action.problem, action.sparsity), keep_shared=True)
    fronts = [(front.pivots, front.flops) for front in tree.fronts[: len(tree.fronts) - tree.open]]
    return Plan.of(f"tree of {len(tree.fronts)} fronts ({tree.name})", fronts, tree.numbers, tree)


ELIMINATION = EliminationSpec("tree", "a fill-reducing order, in a tree of dense fronts", plan, place=1)
