"""A fill-reducing order of all unknowns (`hpcda.linalg.order`), in a tree of fronts (`hpcda.linalg.tree`)."""

from __future__ import annotations

from hpcda.action import Action
from hpcda.action.blocks import pattern_of
from hpcda.annealing.elimination import EliminationSpec, Plan
from hpcda.linalg.tree import Tables, Tree


def plan(action: Action) -> Plan:
    """See `hpcda.annealing.elimination.EliminationSpec`."""
    tree = Tree.of(pattern_of(action.problem, action.sparsity), keep_shared=True)
    fronts = [(front.pivots, front.flops) for front in tree.fronts[: len(tree.fronts) - tree.open]]
    constants = len(action.problem.constants)
    tables = Tables.of(tree, action.sparsity.gather - constants * (constants + 1) // 2)
    what = f"tree of {len(tree.fronts)} fronts ({tree.name})"
    return Plan.of(what, fronts, tables.factor + tables.left, tables)


ELIMINATION = EliminationSpec("tree", "a fill-reducing order, in a tree of dense fronts", plan, place=1)
