"""Many starts of any factor graph in lockstep, by exact Newton steps eliminated in a tree of fronts.

The step control is that of chains (climb.c), the steps are those of graph_steps.c. Bounds are held as a step
is found to cross them.
"""

from __future__ import annotations

import ctypes
import weakref
from typing import Any

import numpy as np

from hpcda.action.graph import CompiledGraph, GraphAction
from hpcda.annealing.climbs import Climbs, Settings
from hpcda.annealing.ladder import Ladder
from hpcda.linalg.elimination import Pattern
from hpcda.linalg.tree import Tables, Tree, TreeElimination
from hpcda.native.declared import structures
from hpcda.problem import Array

SOURCES = ("graph_steps.c", "climb.c")
_TERMS = {"measurement": 0, "model": 1}
"""Terms of the record that groups are told as; all others are told as priors."""
_Batch = structures("graph_steps.c")["Batch"]


_trees: weakref.WeakKeyDictionary[GraphAction, Tree] = weakref.WeakKeyDictionary()


def tree_of(action: GraphAction) -> Tree:
    """How the unknowns of a graph are eliminated; planned once."""
    if action not in _trees:
        sparsity = action.sparsity
        _trees[action] = Tree.of(Pattern(sparsity.indptr, sparsity.indices, action.variables.layers))
    return _trees[action]


def falling(action: GraphAction, path: Array, rf: float) -> int:
    """Number of independent directions along which the action falls from a point of no slope: 0 at a minimum.

    Hidden units of a network that a small Rf has made alike stay alike up the ladder, where that becomes a
    saddle point: a climb ends there, as its slope is 0.

    Args:
        action: The action.
        path: The point, shape (size,).
        rf: Precision of the model.
    """
    scale, sparsity = action.variables.scales, action.sparsity
    pattern = Pattern(sparsity.indptr, sparsity.indices, action.variables.layers)
    values = action.derivatives(path, rf)[2] * scale[pattern.rows] * scale[pattern.indices]
    lower, upper = action.variables.bounds
    held = (path <= lower) | (path >= upper)
    values[held[pattern.rows] | held[pattern.indices]] = 0.0
    return TreeElimination(pattern).inertia(values).negative


class GraphLockstep(Climbs):
    """Climbs of the action of a factor graph; see `Climbs`.

    Args:
        action: The action.
        ladder: The rungs.
        lanes: Starts that are advanced together, a power of two; None for the width of the processor's
            vectors.
        settings: Tolerances and limits.

    Attributes:
        tree: How the unknowns are eliminated.

    Raises:
        MemoryError: There is too little.
        CompilerError: No C compiler, or no place for compiled code.
    """

    usual_pause = 0  # networks climb in fewer steps without Gauss-Newton, which stays near saddle points

    def __init__(
        self, action: GraphAction, ladder: Ladder, lanes: int | None = None, settings: Settings | None = None
    ) -> None:
        super().__init__(action.size, ladder, lanes, settings)
        self.action = action
        self.tree = tree_of(action)
        self._compiled = CompiledGraph(action.graph, self.lanes, *SOURCES)
        self._library = self._compiled.library
        self._tables = Tables.of(self.tree, action.sparsity.gather)
        self._batch = self._make_batch()

    def _make_batch(self) -> Any:
        action, compiled, tables = self.action, self._compiled, self._tables
        variables, graph = action.variables, action.graph
        counts = {
            "slots_of_all": len(graph.rows), "diagonal": self.size, "ordered": self.size,
            "factor": tables.factor, "left": tables.left, "groups": len(graph.groups),
            "ahead": graph.multipliers, "multipliers": graph.multipliers,
        }  # fmt: skip
        vectors = {name: compiled.vectors(count) for name, count in counts.items()}
        self._multipliers = [vectors["multipliers"][0]]
        if self.ladder.infinity:
            vectors["dual"] = compiled.vectors(graph.multipliers)
            self._multipliers.append(vectors["dual"][0])
        row, column = tables.entries
        integers = {
            "entry_row": row,
            "entry_column": column,
            "part": [_TERMS.get(name, 2) for name in graph.groups],
        }
        return _Batch(
            **self._common(compiled, variables.bounds, variables.scales, self._curvature()),
            rows=compiled.pointer(np.zeros(2 * tables.structure.most), np.uintp),
            tree=ctypes.addressof(tables.structure),
            factors=ctypes.addressof(compiled.factors),
            desk=ctypes.addressof(compiled.desk),
            **{name: compiled.pointer(values, np.int32) for name, values in integers.items()},
            **{name: place for name, (_, place) in vectors.items()},
        )

    def _curvature(self) -> float:
        """Mean second derivative that data give, in units of the unknowns' sizes; 1 where there are none."""
        factors = self.action.graph.factors
        precision = sum(one.precision for one in factors if one.group == "measurement")
        mean = precision * float(np.mean(self.action.variables.scales**2)) / max(self.size, 1)
        return mean if mean > 0.0 else 1.0
