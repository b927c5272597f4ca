"""Lockstep of windows that share time-dependent parameters: solved as a factor graph, as all times couple.

Paths come and go as everywhere, with copies of what windows share; the climb is one of the unknowns alone.
"""

from __future__ import annotations

import weakref
from dataclasses import replace

import numpy as np

from hpcda.action import Action
from hpcda.action.chain import chain_action, chain_places
from hpcda.action.graph import GraphAction
from hpcda.annealing.climbs import Climbs, Reached, Settings
from hpcda.annealing.elimination import Plan
from hpcda.annealing.graph import SOURCES, GraphLockstep, tree_of
from hpcda.annealing.ladder import Ladder
from hpcda.problem import Array, Numbers

_graphs: weakref.WeakKeyDictionary[Action, GraphAction] = weakref.WeakKeyDictionary()


def graph_of(action: Action) -> GraphAction:
    """The same action as a graph of its unknowns alone; made once."""
    if action not in _graphs:
        _graphs[action] = chain_action(action.problem)
    return _graphs[action]


def tied_plan(action: Action) -> Plan:
    """How the unknowns are eliminated."""
    graph = graph_of(action)
    return Plan.of_tree(tree_of(graph), graph.sparsity.gather)


def tied_memory(action: Action, chosen: Plan) -> float:
    """Bytes of a lane, less those of the tables."""
    graph = graph_of(action).graph
    own = 10 * graph.size + chosen.numbers + len(graph.rows) + 2 * graph.multipliers
    return 8.0 * own


def tied_code(action: Action, lanes: int) -> str:
    """What is compiled for a lockstep."""
    return graph_of(action).graph.code(lanes, *SOURCES)


class TiedLockstep(GraphLockstep):
    """Climbs of the action of paths with ties; see `Climbs`.

    Args:
        action: The action.
        ladder: The rungs.
        lanes: Starts that are advanced together, a power of two; None for the width of the processor's
            vectors.
        settings: Tolerances and limits.

    Attributes:
        plan: How the unknowns are eliminated.
    """

    usual_pause = Climbs.usual_pause

    def __init__(
        self, action: Action, ladder: Ladder, lanes: int | None = None, settings: Settings | None = None
    ) -> None:
        self.plan = tied_plan(action)
        self._places = chain_places(action.problem)
        self._unknowns: Numbers = np.unique(self._places, return_index=True)[1]
        super().__init__(graph_of(action), ladder, lanes, settings)

    def put(
        self, lane: int, start: int, path: Array, rung: int, fresh: bool, until: int | None = None
    ) -> None:
        """See `Climbs`; the path has copies, of which the first counts."""
        super().put(lane, start, path[self._unknowns], rung, fresh, until)

    def reached(self) -> list[Reached]:
        """See `Climbs`; the paths have copies."""
        return [
            replace(one, rung=replace(one.rung, path=one.rung.path[self._places]))
            for one in super().reached()
        ]
