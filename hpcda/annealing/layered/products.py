"""Gauss-Newton and exact Hessian products with a vector: one tangent pass forward, one adjoint pass back.

    Gauss-Newton   Jᵀ φ'' J v + Λ v        exact   what the gradient changes by along v

Λ is the diagonal of the priors. Forward, δx and δz; back, with λ the multipliers (B. Pearlmutter, Neural
Computation 6, 147 (1994)),

    μ(N) = φ'' δx(N),    δq(n) = D(n) μ(n+1) + λ(n+1) g'' δz(n),
    μ(n) = W(n)ᵀ δq(n) + δW(n)ᵀ q(n)  (+ μ(n+1) in residual layers),

and the product is Σ δq x(n)ᵀ + q δx(n)ᵀ by W(n), Σ δq by b(n), μ(0) by the inputs. Vectors of all unknowns
are on every rank; passes are of its own pairs.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from hpcda.action.dealt import Factor
from hpcda.action.exact_network import ExactNetwork
from hpcda.action.passes import Passed, added
from hpcda.problem import Array

OUTPUTS = 32
"""Outputs of which all are taken; of more, random sums."""
Product = Callable[[Array], Array]


class Slopes:
    """RᵀJ and its transpose, with R Rᵀ the part of φ'' that is not negative; nothing of it is stored.

    Args:
        action: The network and its pairs.
        passed: The pass forward.
    """

    def __init__(self, action: ExactNetwork, passed: Passed) -> None:
        self.action, self.passed = action, passed
        self.root = action.loss.root(passed.x[-1])
        self._turned = self.root.transposed()

    def ahead(self, direction: Array) -> Array:
        """RᵀJ v of this rank's pairs, shape (pairs, outputs)."""
        moved = self.passed.along(*split(self.action, direction))[0][-1]
        return self._turned.times(moved)

    def back(self, ends: Array) -> Array:
        """JᵀR u of u of this rank's pairs, shape (pairs, outputs)."""
        action, free = self.action, self.action.inputs > 0
        forces = self.passed.back(self.root.times(ends), free)
        first = forces.pop(0) if free else None
        by_weights = action.deal.total(action.deal.blocks.sums(self.passed.by_weights(forces)))
        return action.joined(first, action.owned(by_weights))

    def sensitivities(self, most: int | None = None) -> list[Array]:
        """RᵀJ by z(n), shapes (pairs, outputs, width); before them by x(0) where inputs are unknown.

        Args:
            most: Most outputs; where there are more, this number of sums with random signs, whose squares
                have the expectation of those of all (M. Hutchinson, Commun. Stat. Simul. 19, 433 (1990)).
        """
        outputs = self.passed.x[-1].shape[1]
        rows = np.eye(outputs)
        if most is not None and outputs > most:
            signs = np.random.default_rng(0).choice([-1.0, 1.0], (most, outputs))
            rows = signs / np.sqrt(most)
        return self.passed.sensitivities(self._turned.combined(rows), self.action.inputs > 0)


def exact_product(action: ExactNetwork, passed: Passed, forces: list[Array]) -> Product:
    """The product with the exact Hessian.

    Args:
        action: The network and its pairs.
        passed: The pass forward.
        forces: λ(1) … λ(N).
    """
    curvature, bent = action.loss.curvature(passed.x[-1]), action.bent(passed, forces)
    pulls = [force * slope for force, slope in zip(forces, passed.slope, strict=True)]
    free, blocks = action.inputs > 0, action.deal.blocks

    def product(direction: Array) -> Array:
        layers, inputs = split(action, direction)
        moved, sums = passed.along(layers, inputs)
        later, ahead = curvature.times(moved[-1]), None
        found: list[list[Factor]] = []
        for n in reversed(range(len(layers))):
            own = passed.slope[n] * later + bent[n] * sums[n]
            by_matrix: Factor = own, passed.x[n]
            if n or free:
                by_matrix = np.stack([own, pulls[n]], axis=1), np.stack([passed.x[n], moved[n]], axis=1)
                before = blocks.product(own, passed.weights[n][0]) + blocks.product(pulls[n], layers[n][0])
                later, ahead = added(passed.skips[n], before, later, ahead)
            found.append([by_matrix, (own, None)])
        factors = [part for layer in reversed(found) for part in layer]
        first = later if free else None
        return action.joined(first, action.owned(action.deal.total(blocks.sums(factors)))) + action.pull(
            direction
        )

    return product


def split(action: ExactNetwork, direction: Array) -> tuple[list[tuple[Array, Array]], Array | None]:
    """(δW, δb) of every layer, and δx(0) of this rank's pairs, shape (pairs, width), None if exact."""
    return action.weights(direction), action.own(direction)


def promised(action: ExactNetwork, theta: Array) -> float:
    """About what a Gauss-Newton step promises, as a part of the action: ½ Σ g²/d, d the matrix's diagonal."""
    passed = action.passed(theta)
    value, gradient, _ = action.first_derivatives(theta, passed)
    sensitivities = Slopes(action, passed).sensitivities(OUTPUTS)
    squares = [np.einsum("poi,poi->pi", own, own) for own in sensitivities]
    by_inputs = squares.pop(0) if action.inputs else None
    factors: list[Factor] = []
    for own, x in zip(squares, passed.x, strict=False):
        factors += [(own, x**2), (own, None)]
    by_weights = action.owned(action.deal.total(action.deal.blocks.sums(factors)))
    diagonal = action.joined(by_inputs, by_weights) + action.prior_diagonal
    known = diagonal > 0.0
    return float(0.5 * np.sum(gradient[known] ** 2 / diagonal[known]) / abs(value))


def weights_scale(action: ExactNetwork, passed: Passed, sensitivities: list[Array]) -> float:
    """Mean of the diagonal of the Gauss-Newton matrix by the weights."""
    every = np.zeros(len(passed.x[0]))
    for own, x in zip(sensitivities[-len(action.shapes) :], passed.x, strict=False):
        every += np.einsum("poi,poi->p", own, own) * (1.0 + np.einsum("pj,pj->p", x, x))
    weights = action.prior_diagonal[action.inputs :]
    return action.deal.added(every[:, None]) / len(weights) + float(weights.mean())
