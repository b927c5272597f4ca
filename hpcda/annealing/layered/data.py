"""Data space: a Gauss-Newton step by Woodbury's identity, for fewer measured outputs than weights.

    (Λ + JᵀR RᵀJ)⁻¹ = Λ⁻¹ - Λ⁻¹ JᵀR (1 + RᵀJ Λ⁻¹ JᵀR)⁻¹ RᵀJ Λ⁻¹,    Λ the priors and the shift

(M. Woodbury, Memorandum Rept. 42, Statistical Research Group, Princeton (1950)), and one refinement. J is not
stored: with U(n) = RᵀJ by z(n), RᵀJJᵀR = Σ over layers U(n) U(n)ᵀ times x̃(n)·x̃(n)', number by number; inputs
add blocks on the diagonal. (M d_out)³/3 + 2 (M d_out)² Σd operations, 16 (M d_out)² bytes.
"""

from __future__ import annotations

import numpy as np
from scipy.linalg.lapack import dpotrf, dpotrs

from hpcda.action.exact_network import ExactNetwork
from hpcda.annealing.layered.krylov import Krylov
from hpcda.annealing.layered.model import Cost, Elimination, Model
from hpcda.annealing.layered.products import Slopes, precisions, weights_scale
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
        pairs, outputs = passed.x[-1].shape
        self._by_inputs = np.zeros((pairs, outputs, outputs))
        if action.inputs:
            first = sensitivities.pop(0)
            self._by_inputs = first @ first.transpose(0, 2, 1)
        self._by_weights = np.zeros((pairs * outputs, pairs * outputs))
        for own, x in zip(sensitivities, passed.x[:-1], strict=True):
            rows = own.reshape(pairs * outputs, -1)
            part = (rows @ rows.T).reshape(pairs, outputs, pairs, outputs)
            part *= (x @ x.T + 1.0)[:, None, :, None]
            self._by_weights += part.reshape(self._by_weights.shape)

    def solve(self, shift: float) -> Array | None:
        """-(H + shift)⁻¹ gradient; None where H + shift is not positive definite."""
        action = self.action
        inputs, weights = (own + shift for own in action.priors)
        if weights <= 0.0 or (action.inputs and inputs <= 0.0):
            return None
        matrix = self._by_weights / weights
        pairs, outputs, _ = self._by_inputs.shape
        blocks = matrix.reshape(pairs, outputs, pairs, outputs)
        every = np.arange(pairs)
        if action.inputs:
            blocks[every, :, every, :] += self._by_inputs / inputs
        matrix[np.diag_indices(len(matrix))] += 1.0
        lower, failed = dpotrf(matrix.T, lower=1, overwrite_a=1, clean=0)
        if failed:
            return None
        diagonal = precisions(action) + shift

        def inverse(right: Array) -> Array:
            scaled = right / diagonal
            ends = dpotrs(lower, self._slopes.ahead(scaled).ravel(), lower=1)[0]
            return scaled - self._slopes.back(ends.reshape(pairs, outputs)) / diagonal

        step = inverse(-self.gradient)
        left = -self.gradient - diagonal * step - self._slopes.back(self._slopes.ahead(step))
        return step + inverse(left)

    def negative(self) -> None:
        """No direction: a Gauss-Newton matrix is nowhere negative."""
        return


class Data:
    """Data space; the exact Hessian has no such form: states first, or conjugate gradients without the room.

    Args:
        action: The network and its pairs.
    """

    def __init__(self, action: ExactNetwork) -> None:
        self.action = action
        states = States(action)
        self._exact: Elimination = states if states.cost.fits else Krylov(action)
        network = action.network
        rows = network.pairs * network.widths[-1]
        products = rows**3 / 3.0 + 2.0 * rows**2 * sum(network.widths)
        passes = 60.0 * network.pairs * (action.size - action.inputs)
        self.cost = Cost(products, passes, 16.0 * rows**2)
        self.sentence = self.cost.sentence("data space")

    def gauss_newton(self, point: Array) -> DataModel:
        """The model with the Gauss-Newton matrix."""
        return DataModel(self.action, point)

    def exact(self, point: Array) -> Model:
        """The model with the exact Hessian."""
        return self._exact.exact(point)
