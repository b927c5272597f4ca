"""The Hessian of a layered network with unknown inputs: one block per pair, bordered by the weights.

    H = [[X, C], [Cᵀ, K]],    X block-diagonal, a block of each pair's inputs

Inputs first: with the Schur complement S = K - Σ Cᵀ X⁻¹ C, summed over the pairs that ranks share,

    S δθ = -(g_θ - Σ Cᵀ X⁻¹ g_x),    δx = -X⁻¹ (g_x + C δθ),

and H is positive definite where all blocks of X and S are. Where inputs are exact S is K.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy.linalg import eigh
from scipy.linalg.lapack import dpotrf, dpotrs

from hpcda.action.dealt import Deal
from hpcda.problem import Array

ROOM = 1 << 20
"""Numbers of C that are worked on at once."""


@dataclass(frozen=True)
class Factor:
    """Cholesky factor of H + shift.

    Attributes:
        matrix: The Hessian.
        shift: What was added to its diagonal.
        lower: Factor of the Schur complement, shape (weights, weights), its other triangle of no meaning.
    """

    matrix: Bordered
    shift: float
    lower: Array

    def solve(self, right: Array) -> Array:
        """(H + shift)⁻¹ right."""
        inputs, weights = self.matrix.split(right)
        if not inputs.size:
            return self._weights(weights)
        corner, border, deal = self.matrix.shifted(self.shift), self.matrix.border, self.matrix.deal
        size = border.shape[2]
        own = np.linalg.solve(corner, inputs[:, :, None])
        pulled = deal.total(deal.blocks.sums([(own, border)]))
        moved = self._weights(weights - pulled.reshape(size))
        own = np.linalg.solve(corner, (inputs - border @ moved)[:, :, None])[:, :, 0]
        return np.concatenate([deal.gathered(own).ravel(), moved])

    @property
    def inverse(self) -> Array:
        """The block of (H + shift)⁻¹ by the weights."""
        return self._weights(np.eye(len(self.lower)))

    def _weights(self, right: Array) -> Array:
        return np.asarray(dpotrs(self.lower, right, lower=1)[0])


@dataclass(frozen=True)
class Bordered:
    """The matrix; flat vectors hold the inputs of all pairs, pair after pair, then the weights.

    Attributes:
        corner: X of this rank's pairs, shape (pairs, inputs, inputs); inputs are 0 where they are exact.
        border: C of them, shape (pairs, inputs, weights).
        weights: K, shape (weights, weights), of which the upper triangle is read.
        deal: Which rank has which pairs.
    """

    corner: Array
    border: Array
    weights: Array
    deal: Deal

    @property
    def size(self) -> int:
        """Number of unknowns."""
        return self.deal.pairs * self.corner.shape[1] + len(self.weights)

    def split(self, vector: Array) -> tuple[Array, Array]:
        """Inputs of this rank's pairs, shape (pairs, inputs), and weights."""
        pairs, width = self.deal.pairs, self.corner.shape[1]
        return vector[: pairs * width].reshape(pairs, width)[self.deal.own], vector[pairs * width :]

    def shifted(self, shift: float) -> Array:
        """X + shift."""
        return self.corner + shift * np.eye(self.corner.shape[1])

    def schur(self, shift: float = 0.0) -> Array | None:
        """S of H + shift, a new array, its upper triangle; None where X + shift is not positive definite."""
        found = self.weights.copy()
        found[np.diag_indices(len(found))] += shift
        _, width, size = self.border.shape
        if width == 0:
            return found
        inverse = _inverse_root(self.shifted(shift))
        if self.deal.largest(float(inverse is None)):
            return None
        assert inverse is not None
        found -= self.deal.total(self._eliminated(inverse)).reshape(size, size)
        return found

    def _eliminated(self, inverse: Array) -> Iterator[Array]:
        """Cᵀ X⁻¹ C of each block of pairs, flat, of the inverses of the Cholesky factors of X."""
        _, width, size = self.border.shape
        step = max(1, ROOM // (width * size))
        for block in self.deal.blocks.slices:
            found = np.zeros((0, 0))
            for first in range(block.start, block.stop, step):
                some = slice(first, min(first + step, block.stop))
                half = (inverse[some] @ self.border[some]).reshape(-1, size)
                found = found + half.T @ half if found.size else half.T @ half
            yield found.ravel()

    def factor(self, shift: float = 0.0) -> Factor | None:
        """The Cholesky factor of H + shift; None where that is not positive definite."""
        schur = self.schur(shift)
        if schur is None or not np.isfinite(schur).all():
            return None
        lower, failed = dpotrf(schur.T, lower=1, overwrite_a=1, clean=0)
        return None if failed else Factor(self, shift, lower)

    @property
    def largest(self) -> float:
        """Largest entry of the blocks X and K."""
        inputs = self.deal.largest(float(np.abs(self.corner).max(initial=0.0)))
        return max(float(np.abs(self.weights).max()), inputs)

    def lowest(self) -> tuple[float, Array]:
        """A direction of length 1 along which H is negative where it is so along any, and vᵀHv.

        It is the eigenvector of the lowest eigenvalue of a block of X, where that is negative, else of S, for
        which the inputs follow, δx = -X⁻¹ C δθ, so that vᵀHv = δθᵀ S δθ.
        """
        width = self.corner.shape[1]
        values, vectors = np.linalg.eigh(self.corner)
        if width:
            lowest = self.deal.gathered(values[:, 0])
            pair = int(np.argmin(lowest))
            if lowest[pair] <= 0.0:
                found = np.zeros(self.size)
                found[pair * width : (pair + 1) * width] = self.deal.gathered(vectors[:, :, 0])[pair]
                return float(lowest[pair]), found
        schur = self.schur()
        assert schur is not None
        (curvature,), vector = eigh(schur, lower=False, subset_by_index=[0, 0])
        weights = vector[:, 0]
        inputs = -np.linalg.solve(self.corner, (self.border @ weights)[:, :, None])
        found = np.concatenate([self.deal.gathered(inputs).ravel(), weights])
        length = float(np.linalg.norm(found))
        return float(curvature) / length**2, found / length

    def dense(self) -> Array:
        """H, shape (size, size)."""
        corner, border = self.deal.gathered(self.corner), self.deal.gathered(self.border)
        pairs, width, _ = corner.shape
        first = pairs * width
        found = np.zeros((self.size, self.size))
        for pair in range(pairs):
            own = slice(pair * width, (pair + 1) * width)
            found[own, own] = corner[pair]
        found[:first, first:] = border.reshape(first, border.shape[2])
        found[first:, :first] = found[:first, first:].T
        upper = np.triu(self.weights)
        found[first:, first:] = upper + np.triu(upper, 1).T
        return found


def _inverse_root(matrices: Array) -> Array | None:
    """Inverses of the Cholesky factors of matrices; None where one is not positive definite."""
    try:
        return np.asarray(np.linalg.inv(np.linalg.cholesky(matrices)))
    except np.linalg.LinAlgError:
        return None
