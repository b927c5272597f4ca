"""Data space: a Gauss-Newton step by Woodbury's identity, for fewer measured outputs than weights.

    (Λ + JᵀR RᵀJ)⁻¹ = Λ⁻¹ - Λ⁻¹ JᵀR (1 + RᵀJ Λ⁻¹ JᵀR)⁻¹ RᵀJ Λ⁻¹,    Λ the priors and the shift

(M. Woodbury, Memorandum Rept. 42, Statistical Research Group, Princeton (1950)), and one refinement. J is not
stored: with U(n) = RᵀJ by z(n), RᵀJJᵀR = Σ over layers U(n) U(n)ᵀ times x̃(n)·x̃(n)', number by number; inputs
add blocks on the diagonal. (M d_out)³/3 + 2 (M d_out)² Σd operations, 16 (M d_out)² bytes. Ranks share the
rows of the products; the Cholesky factorization is every rank's own.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.linalg.lapack import dpotrf, dpotrs

from hpcda.action.exact_network import ExactNetwork
from hpcda.annealing.layered.krylov import Krylov
from hpcda.annealing.layered.model import Cost, Elimination, Model, Unheld
from hpcda.annealing.layered.products import Slopes, weights_scale
from hpcda.annealing.layered.states import States
from hpcda.problem import Array


class DataModel:
    """A Gauss-Newton model.

    Args:
        action: The network and its pairs.
        point: Unknowns, shape (size,).
    """

    def __init__(self, action: ExactNetwork, point: Array) -> None:
        self.action = action
        passed = action.passed(point)
        self.value, self.gradient, _ = action.first_derivatives(point, passed)
        self._slopes = Slopes(action, passed)
        sensitivities = self._slopes.sensitivities()
        self.scale = weights_scale(action, passed, sensitivities)
        self._pairs = action.deal.pairs, passed.x[-1].shape[1]
        self._by_inputs = sensitivities.pop(0) if action.inputs else None
        weights = action.precision[action.inputs :]
        one, other = float(weights[0]), float(weights[-1])  # of weights, and of biases
        kinds = [(one, 1.0, 1.0)] if one == other else [(one, 1.0, 0.0), (other, 0.0, 1.0)]
        self._by_weights = [
            (prior, _products(action, sensitivities, passed.x[:-1], *parts)) for prior, *parts in kinds
        ]

    def solve(self, shift: float, *, enough: float = 0.0) -> Array | None:
        """-(H + shift)⁻¹ gradient; None where H + shift is not positive definite."""
        action, (pairs, outputs) = self.action, self._pairs
        diagonal = action.precision + shift
        if diagonal.min() <= 0.0:
            return None
        (prior, first), *others = self._by_weights
        matrix = first / (prior + shift)
        for prior, own in others:
            matrix += own / (prior + shift)
        inputs = action.own(diagonal)
        if inputs is not None and self._by_inputs is not None:
            every = np.arange(pairs)
            blocks = (self._by_inputs / inputs[:, None, :]) @ self._by_inputs.transpose(0, 2, 1)
            matrix.reshape(pairs, outputs, pairs, outputs)[every, :, every, :] += action.deal.gathered(blocks)
        matrix[np.diag_indices(len(matrix))] += 1.0
        lower, failed = dpotrf(matrix.T, lower=1, overwrite_a=1, clean=0)
        if failed:
            return None

        def inverse(right: Array) -> Array:
            scaled = right / diagonal
            ahead = action.deal.gathered(self._slopes.ahead(scaled))
            ends = dpotrs(lower, ahead.ravel(), lower=1)[0].reshape(pairs, outputs)
            return scaled - self._slopes.back(ends[action.deal.own]) / diagonal

        step = inverse(-self.gradient)
        left = -self.gradient - diagonal * step - self._slopes.back(self._slopes.ahead(step))
        return step + inverse(left)

    def again(self, gradient: Array) -> None:
        """No step: there is no factor of H at hand."""

    def negative(self) -> None:
        """No direction: a Gauss-Newton matrix is nowhere negative."""
        return


def _products(
    action: ExactNetwork, sensitivities: list[Array], units: Sequence[Array], weights: float, biases: float
) -> Array:
    """Σ over layers of U(n) U(n)ᵀ times weights · x(n)·x(n)' + biases, upper triangle.

    Each block of pairs is multiplied with itself and with the half of the others that follow it in a circle.
    """
    deal, outputs = action.deal, sensitivities[0].shape[1]
    layers = [(deal.gathered(own), deal.gathered(x)) for own, x in zip(sensitivities, units, strict=True)]
    blocks = len(deal.slices)
    every = np.arange(deal.pairs)

    def partners(block: int) -> list[int]:
        half = blocks // 2
        return [(block + k) % blocks for k in range(half + (block < half or not half))]

    def product(block: int) -> Array:
        rows = deal.slices[block]
        columns = np.concatenate([every[deal.slices[other]] for other in partners(block)])
        found = np.zeros((rows.stop - rows.start, outputs, len(columns), outputs))
        for own, x in layers:
            left, right = own[rows], own[columns]
            part = left.reshape(-1, left.shape[2]) @ right.reshape(-1, left.shape[2]).T
            part = part.reshape(found.shape)
            part *= (weights * (x[rows] @ x[columns].T) + biases)[:, None, :, None]
            found += part
        return found.ravel()

    def length(block: int) -> int:
        sizes = [
            some.stop - some.start
            for some in (deal.slices[block], *map(deal.slices.__getitem__, partners(block)))
        ]
        return sizes[0] * sum(sizes[1:]) * outputs**2

    own = np.concatenate([product(block) for block in deal.shares[deal.ranks.rank]])
    whole = deal.ranks.gather(own, [sum(map(length, share)) for share in deal.shares])
    found = np.zeros((deal.pairs, outputs, deal.pairs, outputs))
    first = 0
    for block, rows in enumerate(deal.slices):
        pairs = rows.stop - rows.start
        part = whole[first : first + length(block)].reshape(pairs, outputs, -1, outputs)
        first, column = first + length(block), 0
        for other in partners(block):
            columns = deal.slices[other]
            last = column + columns.stop - columns.start
            if other >= block:
                found[rows, :, columns] = part[:, :, column:last]
            else:
                found[columns, :, rows] = part[:, :, column:last].transpose(2, 3, 0, 1)
            column = last
    return found.reshape(deal.pairs * outputs, -1)


class Data(Unheld):
    """Data space; the exact Hessian has no such form: states first, or conjugate gradients if quicker.

    Args:
        action: The network and its pairs.
    """

    name = "data space"

    def __init__(self, action: ExactNetwork) -> None:
        self.action = action
        states, krylov = States(action), Krylov(action)
        quicker = states.cost.fits and states.cost.seconds < krylov.cost.seconds
        self._exact: Elimination = states if quicker else krylov
        network = action.network
        rows = network.pairs * network.widths[-1]
        passes = 60.0 * network.pairs * (action.size - action.inputs)
        memory = 16.0 * rows**2 + 8.0 * rows * sum(network.widths)
        if network.continuum is not None:
            memory = np.inf  # weights of all times are coupled: Λ is not diagonal, or U(n) not a layer's own
        self.cost = Cost(2.0 * rows**2 * sum(network.widths), passes, memory, alone=rows**3 / 3.0)

    def gauss_newton(self, point: Array) -> DataModel:
        """The model with the Gauss-Newton matrix."""
        return DataModel(self.action, point)

    def exact(self, point: Array) -> Model:
        """The model with the exact Hessian."""
        return self._exact.exact(point)
