"""Covariance localization (Gaspari-Cohn) by graph distance.

A few hundred members say of any two numbers that they are a little alike. Where the states are many this
noise moves what the data know nothing of, and the filter loses its way. So covariances are multiplied by a
share that falls with distance (P. L. Houtekamer, H. L. Mitchell, Mon. Weather Rev. 129, 123 (2001)), the
fifth-order function of G. Gaspari and S. E. Cohn (Q. J. R. Meteorol. Soc. 125, 723 (1999), eq. 4.10).
Distance is counted in hops over the model's own graph: two states are neighbors where one is in the other's
equation. Parameters are near to everything.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.sparse import coo_array

from hpcda.action.native import Equations
from hpcda.problem import Array


@dataclass(frozen=True)
class Hops:
    """Distances over a model's graph, infinite where nothing leads from one to the other.

    Attributes:
        near: From the numbers of a member to what is measured, shape (D + V + P, L).
        together: Among what is measured, shape (L, L).
    """

    near: Array
    together: Array

    @classmethod
    def of(cls, equations: Equations) -> Hops:
        """Distances of a problem's equations."""
        problem = equations.problem
        states, measured = problem.dimension, len(problem.observed)
        edges = np.array([edge for edge in equations.model.jacobian if max(edge) < states], dtype=np.int64)
        ends = edges.reshape(-1, 2).T
        from scipy.sparse.csgraph import shortest_path

        graph = coo_array((np.ones(ends.shape[1]), (ends[0], ends[1])), shape=(states, states))
        between = shortest_path(graph.tocsr(), directed=False, unweighted=True)
        near = np.zeros((problem.layout.block + len(problem.seen), measured))
        together = np.zeros((measured, measured))
        seen: list[list[int]] = [[] for _ in range(measured)]
        for at, state in equations.observed.jacobian:
            if state < states:
                seen[at].append(state)
        for at, its in enumerate(seen):
            near[:states, at] = between[its].min(axis=0) if its else 0.0
        for at, its in enumerate(seen):
            together[at] = near[its].min(axis=0) if its else 0.0
        return cls(near, np.minimum(together, together.T))

    def shares(self, hops: float) -> tuple[Array, Array]:
        """Shares of the covariances of `near` and of `together`; none is left at twice as many hops."""
        return gaspari_cohn(self.near / hops), gaspari_cohn(self.together / hops)


def gaspari_cohn(distance: Array) -> Array:
    """Share of a covariance: 1 at distance 0, 5/24 at 1, 0 from 2 on."""
    z = np.minimum(distance, 2.0)
    inner = 1.0 + z * z * (-5 / 3 + z * (5 / 8 + z * (1 / 2 - z / 4)))
    outer = (
        4.0 + z * (-5.0 + z * (5 / 3 + z * (5 / 8 + z * (-1 / 2 + z / 12)))) - 2 / (3 * np.maximum(z, 1.0))
    )
    return np.where(z < 1.0, inner, np.where(z < 2.0, np.maximum(outer, 0.0), 0.0))
