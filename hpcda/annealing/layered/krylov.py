"""Krylov: conjugate gradients with products, without a matrix, for many weights.

    k · 12 M P operations for k products, M pairs and P weights, a third for weights of inputs that are known;
    memory for what a pass leaves

(M. Hestenes, E. Stiefel, J. Res. Natl. Bur. Stand. 49, 409 (1952)), preconditioned layer by layer
(`hpcda.annealing.layered.kronecker`). A step of the exact Hessian ends where the matrix turns out negative
(T. Steihaug, SIAM J. Numer. Anal. 20, 626 (1983)), and Lanczos vectors look for where it is so.
"""

from __future__ import annotations

import numpy as np

from hpcda.action.exact_network import ExactNetwork
from hpcda.action.factors import DataLoss
from hpcda.annealing.layered.kronecker import Kronecker
from hpcda.annealing.layered.lanczos import lowest
from hpcda.annealing.layered.model import Cost, Unheld
from hpcda.annealing.layered.products import OUTPUTS, Product, Slopes, exact_product, weights_scale
from hpcda.problem import Array

TOLERANCE, MOST = 1e-4, 300
"""Part of the gradient that a step may leave, in the preconditioner's norm; products that it may take."""
LOOSE, LEFT = 0.1, 0.1
"""The same where little is promised; part of what need not be found that a step may leave."""
USUAL, STIFF = 30, 250
"""Products of a step that its cost counts: 26 were measured of categories, 250 of outputs whose noise is
known and small (the matrix is then badly conditioned)."""
VECTORS = 100
"""Lanczos vectors that look for a direction along which the Hessian is negative."""
FLOOR = 1e-6
"""Least shift of the preconditioner, as a part of the scale."""
ROUNDING = 1e-8
"""Part of the preconditioner that an eigenvalue may be below 0 by rounding errors."""


class KrylovModel:
    """A model without a matrix.

    Args:
        action: The network and its pairs.
        point: Unknowns, shape (size,).
        exact: Whether H is the exact Hessian, not that of Gauss and Newton.
    """

    def __init__(self, action: ExactNetwork, point: Array, exact: bool) -> None:
        passed = action.passed(point)
        self.value, self.gradient, forces = action.first_derivatives(point, passed)
        slopes = Slopes(action, passed)
        sensitivities = slopes.sensitivities(OUTPUTS)
        self.scale = weights_scale(action, passed, sensitivities)
        self._made_of = action, passed, sensitivities
        self._near: Kronecker | None = None
        if exact:
            self.product = exact_product(action, passed, forces)
        else:
            self.product = lambda v: slopes.back(slopes.ahead(v)) + action.pull(v)

    def power(self, exponent: float, shift: float) -> Product:
        """The product with the preconditioner and a shift to a power."""
        if self._near is None:
            self._near = Kronecker(*self._made_of)
        return self._near.power(exponent, shift)

    def solve(
        self, shift: float, tolerance: float = TOLERANCE, most: int = MOST, *, enough: float = 0.0
    ) -> Array | None:
        """-(H + shift)⁻¹ gradient, to a tolerance; None where H + shift is found not positive definite.

        What is left of the gradient r promises about ½ rᵀK⁻¹r more, K the preconditioner.

        Args:
            shift: What is added to the diagonal.
            tolerance: Part of the gradient that may be left, in the norm of the preconditioner.
            most: Products that it may take.
            enough: Part of the action's fall that need not be found, but roughly.
        """
        near = self.power(-1.0, max(shift, FLOOR * self.scale))
        step, left = np.zeros_like(self.gradient), -self.gradient
        scaled = near(left)
        direction, length = scaled, float(left @ scaled)
        end = max(tolerance**2 * length, min(LOOSE**2 * length, 2.0 * LEFT * enough))
        for _ in range(most):
            if length <= end:
                break
            moved = self.product(direction) + shift * direction
            curvature = float(direction @ moved)
            if not curvature > 0.0:
                return None
            step = step + (length / curvature) * direction
            left = left - (length / curvature) * moved
            scaled = near(left)
            length, before = float(left @ scaled), length
            direction = scaled + (length / before) * direction
        return step

    def again(self, gradient: Array) -> None:
        """No step: there is no factor of H at hand."""

    def negative(self) -> Array | None:
        """A direction along which H is negative by more than rounding; None where none is found."""
        half = self.power(-0.5, FLOOR * self.scale)
        first = np.random.default_rng(0).standard_normal(len(self.gradient))
        curvature, vector = lowest(lambda v: half(self.product(half(v))), first, VECTORS)
        if curvature >= -ROUNDING:
            return None
        direction = half(vector)
        return direction / np.linalg.norm(direction)


class Krylov(Unheld):
    """Conjugate gradients.

    Args:
        action: The network and its pairs.

    Attributes:
        usual: Products of a step that its cost counts.
    """

    name = "conjugate gradients"

    def __init__(self, action: ExactNetwork) -> None:
        self.action = action
        network = action.network
        pairs, outputs = network.pairs, min(network.widths[-1], OUTPUTS)
        factors = 10.0 * sum(width**3 for width in network.widths)
        # inputs that are known have no derivatives: of the first layer a product needs its own change alone
        first = 0 if action.inputs else network.widths[1] * (network.widths[0] + 1)
        weights = 12.0 * (action.size - action.inputs - first) + 4.0 * first
        walks = network.continuum is not None and network.continuum.walk > 0.0
        usual = USUAL if isinstance(network.output, DataLoss) else STIFF
        self.usual = MOST if walks else usual  # the preconditioner knows of a walk its diagonal alone
        passes = (self.usual + outputs) * pairs * weights
        shared = 8.0 * pairs * (outputs + 5) * sum(network.widths)
        self.cost = Cost(0.0, passes, 80.0 * action.size, alone=factors, shared=shared)

    def gauss_newton(self, point: Array) -> KrylovModel:
        """The model with the Gauss-Newton matrix."""
        return KrylovModel(self.action, point, exact=False)

    def exact(self, point: Array) -> KrylovModel:
        """The model with the exact Hessian."""
        return KrylovModel(self.action, point, exact=True)
