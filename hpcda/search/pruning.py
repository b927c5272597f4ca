"""Prunes hidden units one at a time, adjusting the remaining weights (optimal brain surgeon).

Optimal brain surgeon (B. Hassibi, D. Stork, Advances in Neural Information Processing Systems 5, 164 (1993)),
for all weights w that go out of a unit at once: with H the Gauss-Newton matrix, setting them to 0 costs
½ wᵀ (H⁻¹_ww)⁻¹ w and moves all others by -H⁻¹_·w (H⁻¹_ww)⁻¹ w. A unit that residual layers carry on is taken
out of all of them. Noisy inputs are eliminated first, and moved along.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from scipy.linalg import LinAlgError, solve

from hpcda.action.exact_network import ExactNetwork
from hpcda.action.network import Network
from hpcda.errors import InputError, Mistake
from hpcda.problem import Array, Numbers
from hpcda.search.streams import narrowable, reordered, streams

RIDGE = 1e-6
"""Added to the diagonal, as a part of its mean."""

Fit = Callable[[ExactNetwork, Array], Array]


def pruned(
    action: ExactNetwork, theta: Array, widths: tuple[int, ...], fit: Fit
) -> tuple[ExactNetwork, Array]:
    """A network of smaller hidden layers, and its weights.

    Args:
        action: The network and its pairs.
        theta: Its unknowns, flat, at a minimum.
        widths: Units of all layers that are to be left.
        fit: (network, unknowns) -> unknowns, called after each unit that was taken out.

    Raises:
        InputError: Layers would become residual on the way, or no longer be; see `narrowable`.
        LinAlgError: The Gauss-Newton matrix is not finite.
    """
    if not narrowable(action.network, widths):
        problem = f"from {action.network.widths} to {widths} other layers would be residual"
        raise InputError(Mistake("widths", problem, "keep which of two layers is the wider"))
    while action.network.widths != widths:
        action, theta = _without_one(action, theta, widths)
        theta = fit(action, theta)
    return action, theta


def _without_one(action: ExactNetwork, theta: Array, widths: tuple[int, ...]) -> tuple[ExactNetwork, Array]:
    """Without the unit that costs least, of layers that are too wide."""
    inverse, border = _inverse(action, theta)
    weights = theta[action.inputs :]
    best: tuple[float, range, int, Array] | None = None
    for stream in streams(action.network):
        width = action.network.widths[stream[0]]
        if width <= widths[stream[0]] or not narrowable(_narrower(action.network, stream), widths):
            continue
        for unit in range(width):
            gone = _outgoing(action, stream, unit)
            pull = solve(inverse[np.ix_(gone, gone)], weights[gone], assume_a="pos")
            cost = float(0.5 * weights[gone] @ pull)
            if best is None or cost < best[0]:
                best = cost, stream, unit, -inverse[:, gone] @ pull
    assert best is not None
    _, stream, unit, step = best
    inputs = -(border @ step) if action.inputs else None
    moved = theta + action.joined(inputs, step)
    if action.value(moved) > action.value(_cut(action, theta, stream, unit)):
        moved = theta  # far from where the matrix holds: nothing makes up for it
    layers = list(action.weights(moved))
    reordered(layers, stream, np.delete(np.arange(len(layers[stream[0] - 1][1])), unit))
    return action.of(_narrower(action.network, stream)), action.replaced(moved, layers)


def _inverse(action: ExactNetwork, theta: Array) -> tuple[Array, Array]:
    """Inverse of the Gauss-Newton matrix by the weights, and X⁻¹ C, by which inputs follow them."""
    _, _, blocks = action.blocks(theta, exact=False)
    mean = float(blocks.weights[np.diag_indices(len(blocks.weights))].mean())
    for ridge in (RIDGE * mean, 1e3 * RIDGE * mean):
        factor = blocks.factor(ridge)
        if factor is not None:
            return factor.inverse, np.linalg.solve(blocks.shifted(ridge), blocks.border)
    raise LinAlgError("the Gauss-Newton matrix is not finite")


def _outgoing(action: ExactNetwork, stream: range, unit: int) -> Numbers:
    """Places, among the weights, of those that go out of a unit of a stream."""
    begins = np.cumsum([0, *(rows * columns for rows, columns in action.shapes)])
    return np.concatenate(
        [begins[n] + np.arange(action.shapes[n][0]) * (action.shapes[n][1] - 1) + unit for n in stream]
    )


def _cut(action: ExactNetwork, theta: Array, stream: range, unit: int) -> Array:
    found = theta.copy()
    found[action.inputs + _outgoing(action, stream, unit)] = 0.0
    return found


def _narrower(network: Network, stream: range) -> Network:
    """With one unit less in a stream."""
    return replace(network, widths=tuple(width - (n in stream) for n, width in enumerate(network.widths)))
