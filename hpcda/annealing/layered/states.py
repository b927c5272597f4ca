"""Eliminates units by the layers' equations, noisy inputs pair by pair, and the weights by Cholesky.

    M [(Σd)² d_out + P²] + M d_in P² (noisy inputs) + P³/3 operations, (20 + 4 L) P² bytes

(noisy inputs: 24 + 8 L), with M pairs in 2^L blocks, and P weights (`hpcda.action.khatri_rao`,
`hpcda.action.bordered`). Ranks share the pairs; the Cholesky factorization is every rank's own.
"""

from __future__ import annotations

import numpy as np

from hpcda.action.bordered import Bordered, Factor
from hpcda.action.dealt import blocks_of
from hpcda.action.exact_network import ExactNetwork
from hpcda.annealing.layered.model import Cost, Unheld
from hpcda.problem import Array

ROUNDING = 1e-10
"""Part of the largest entry below which an eigenvalue may be negative by rounding errors."""


class StatesModel:
    """A model with its matrix.

    Args:
        value: The action.
        gradient: Its gradient, shape (size,).
        matrix: H.
    """

    def __init__(self, value: float, gradient: Array, matrix: Bordered) -> None:
        self.value, self.gradient, self.matrix = value, gradient, matrix
        diagonal = matrix.weights[np.diag_indices(len(matrix.weights))]
        self.scale = float(np.abs(diagonal).mean())
        self._last: tuple[float, Factor | None] | None = None

    def solve(self, shift: float, *, enough: float = 0.0) -> Array | None:
        """-(H + shift)⁻¹ gradient; None where H + shift is not positive definite."""
        factor = self._factor(shift)
        return None if factor is None else -factor.solve(self.gradient)

    def again(self, gradient: Array) -> Array | None:
        """-H⁻¹ gradient by the factor at hand; None where that is of another matrix."""
        shift, factor = self._last if self._last is not None else (0.0, None)
        return None if factor is None or shift else -factor.solve(gradient)

    def negative(self) -> Array | None:
        """A direction along which H is negative by more than rounding; None where there is none."""
        if self._factor(0.0) is not None:
            return None
        curvature, direction = self.matrix.lowest()
        return direction if curvature < -ROUNDING * self.matrix.largest else None

    def _factor(self, shift: float) -> Factor | None:
        if self._last is None or self._last[0] != shift:
            self._last = shift, self.matrix.factor(shift)
        return self._last[1]


class States(Unheld):
    """States first.

    Args:
        action: The network and its pairs.
    """

    name = "states first"

    def __init__(self, action: ExactNetwork) -> None:
        self.action = action
        network, weights = action.network, action.size - action.inputs
        free = action.inputs // network.pairs
        between = network.pairs * (free + sum(network.widths[1:])) ** 2 * network.widths[-1]
        products = between + (1.0 + free) * network.pairs * weights**2
        sums = np.log2(blocks_of(network.pairs)) + 1.0
        self.cost = Cost(
            products,
            12.0 * network.pairs * weights,
            (16.0 + (8.0 if free else 4.0) * sums) * weights**2,
            alone=weights**3 / 3.0,
            shared=8.0 * action.inputs * weights,
        )

    def gauss_newton(self, point: Array) -> StatesModel:
        """The model with the Gauss-Newton matrix."""
        return StatesModel(*self.action.blocks(point, exact=False))

    def exact(self, point: Array) -> StatesModel:
        """The model with the exact Hessian."""
        return StatesModel(*self.action.blocks(point, exact=True))
