"""Hidden units taken out of a network one after the other, the others making up for them.

Optimal brain surgeon (B. Hassibi, D. Stork, Advances in Neural Information Processing Systems 5, 164 (1993)),
for all weights w that go out of a unit at once: with H the Gauss-Newton matrix, setting them to 0 costs
½ wᵀ (H⁻¹_ww)⁻¹ w and moves all others by -H⁻¹_·w (H⁻¹_ww)⁻¹ w.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from scipy.linalg import cho_factor, cho_solve, solve

from hpcda.action.exact_network import ExactNetwork, flat
from hpcda.problem import Array, Numbers

RIDGE = 1e-6
"""Added to the diagonal, as a part of its mean."""

Fit = Callable[[ExactNetwork, Array], Array]


def pruned(
    action: ExactNetwork, theta: Array, widths: tuple[int, ...], fit: Fit
) -> tuple[ExactNetwork, Array]:
    """A network of smaller hidden layers, and its weights.

    Args:
        action: The network and its pairs.
        theta: Its weights, flat, at a minimum.
        widths: Units of all layers that are to be left.
        fit: (network, weights) -> weights, called after each unit that was taken out.
    """
    while action.network.widths != widths:
        action, theta = _without_one(action, theta, widths)
        theta = fit(action, theta)
    return action, theta


def _without_one(action: ExactNetwork, theta: Array, widths: tuple[int, ...]) -> tuple[ExactNetwork, Array]:
    """Without the unit that costs least, of layers that are too wide."""
    _, _, matrix = action.gauss_newton(theta)
    diagonal = np.diag_indices(action.size)
    matrix[diagonal] += RIDGE * matrix[diagonal].mean()
    inverse = cho_solve(cho_factor(matrix, lower=True), np.eye(action.size))
    best: tuple[float, int, int, Array] | None = None
    for layer in range(1, len(widths) - 1):
        width = action.network.widths[layer]
        for unit in range(width if width > widths[layer] else 0):
            gone = _outgoing(action, layer, unit)
            pull = solve(inverse[np.ix_(gone, gone)], theta[gone], assume_a="pos")
            cost = float(0.5 * theta[gone] @ pull)
            if best is None or cost < best[0]:
                best = cost, layer, unit, theta - inverse[:, gone] @ pull
    assert best is not None
    _, layer, unit, moved = best
    if action.value(moved) > action.value(_cut(action, theta, layer, unit)):
        moved = theta  # far from where the matrix holds: nothing makes up for it
    return _narrower(action, moved, layer, unit)


def _outgoing(action: ExactNetwork, layer: int, unit: int) -> Numbers:
    """Places of the weights that go out of a unit of a hidden layer."""
    first = sum(rows * columns for rows, columns in action.shapes[:layer])
    rows, columns = action.shapes[layer]
    return first + np.arange(rows) * (columns - 1) + unit


def _cut(action: ExactNetwork, theta: Array, layer: int, unit: int) -> Array:
    found = theta.copy()
    found[_outgoing(action, layer, unit)] = 0.0
    return found


def _narrower(action: ExactNetwork, theta: Array, layer: int, unit: int) -> tuple[ExactNetwork, Array]:
    layers = list(action.weights(theta))
    matrix, bias = layers[layer - 1]
    layers[layer - 1] = np.delete(matrix, unit, axis=0), np.delete(bias, unit)
    matrix, bias = layers[layer]
    layers[layer] = np.delete(matrix, unit, axis=1), bias
    widths = list(action.network.widths)
    widths[layer] -= 1
    narrower = ExactNetwork(replace(action.network, widths=tuple(widths)))
    return narrower, flat(layers)
