"""Terms of the action for unknowns that windows share: sums over copies, shared random walks.

The windows are evaluated one after the other, each with its own copies of what they share
(`hpcda.problem.Ties`). Derivatives by copies are added to those by the unknown they are copies of; the steps
of a walk that windows share are counted once.
"""

from __future__ import annotations

import numpy as np

from hpcda.action.structure import Sparsity
from hpcda.problem import Array, Numbers, Problem


class Tied:
    """Folds derivatives by all places of a path onto its unknowns.

    Args:
        problem: A problem with ties.
        plain: Where the Hessian's values stand before.

    Attributes:
        sparsity: Where they stand after; rows of copies hold their diagonals alone, which are 0.
    """

    def __init__(self, problem: Problem, plain: Sparsity) -> None:
        first, size = problem.ties.first, problem.size
        steps, weights = shared_walks(problem)
        rows = first[np.repeat(np.arange(size), np.diff(plain.indptr))]
        keys = [rows * size + first[plain.indices], np.arange(size) * (size + 1)]
        one, other = steps.T
        keys += [a * size + b for a, b in ((one, one), (other, other), (one, other), (other, one))]
        found, places = np.unique(np.concatenate(keys), return_inverse=True)
        indptr = np.searchsorted(found, np.arange(size + 1) * size)
        self.sparsity = Sparsity(
            indptr.astype(np.int32), (found % size).astype(np.int32), np.empty(0, dtype=np.int64)
        )
        self._places: Numbers = np.concatenate([places[: len(rows)], places[len(rows) + size :]])
        self._walks = np.concatenate([weights, weights, -weights, -weights])

    def summed(self, values: Array) -> Array:
        """The Hessian's values, of those before in their order; with the shared walks."""
        every, count = np.concatenate([values, self._walks]), len(self.sparsity.indices)
        return np.bincount(self._places, every, count).astype(np.float64, copy=False)


def shared_walks(problem: Problem) -> tuple[Numbers, Array]:
    """Steps of the walks that windows share, shape (steps, 2), and one over their variances, (steps,)."""
    shared = {q.name for q in problem.varying if q.shared}
    walks = [walk for walk in problem.walks if walk.name in shared]
    steps = np.concatenate([np.empty((0, 2), dtype=np.int64), *(walk.places for walk in walks)])
    weights = np.concatenate([np.empty(0), *(walk.std**-2 for walk in walks)])
    return steps, weights
