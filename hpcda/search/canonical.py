"""One of all networks that are the same: hidden units in an order of their own, each with a sign of its own.

Exchanging hidden units of a layer leaves a network as it is; so does reversing one where its activation is
symmetric: odd, g(-z) = -g(z); even, g(-z) = g(z); or odd about a value, g(-z) = c - g(z), as the logistic
function, where the next layer's biases take the difference (V. Kůrková, P. Kainen, Neural Computation 6, 543
(1994)). In the canonical form the incoming weights of every hidden unit have a sum that is not negative, and
units are sorted by their mean over the data.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hpcda.action.activation import Function
from hpcda.action.exact_network import ExactNetwork, flat
from hpcda.problem import Array

PROBES = np.array([0.137, 0.71, 1.9, 3.3])
"""Arguments at which an activation is tried for symmetry."""
ALIKE = 1e-12


@dataclass(frozen=True)
class Symmetry:
    """What g(-z) is: sign · g(z) + shift."""

    sign: float
    shift: float


def symmetry(activation: Function) -> Symmetry | None:
    """The symmetry of an activation, None where reversing its argument gives another function."""
    ahead, back = (np.array([float(activation(sign * z)) for z in PROBES]) for sign in (1.0, -1.0))
    for sign in (-1.0, 1.0):
        shift = back - sign * ahead
        if np.ptp(shift) <= ALIKE * max(1.0, np.abs(ahead).max()):
            mean = float(shift.mean())
            return Symmetry(sign, mean if abs(mean) > ALIKE else 0.0)
    return None


def canonical(action: ExactNetwork, theta: Array) -> Array:
    """The canonical form of weights, flat, shape (size,): the same outputs.

    Args:
        action: The network and its pairs.
        theta: Weights and biases.
    """
    layers = [(matrix.copy(), bias.copy()) for matrix, bias in action.weights(theta)]
    for n, activation in enumerate(action.network.activations[:-1]):
        (matrix, bias), (after, after_bias) = layers[n], layers[n + 1]
        known = symmetry(activation)
        if known is not None:
            turned = matrix.sum(axis=1) < 0.0
            matrix[turned] *= -1.0
            bias[turned] *= -1.0
            # g(z) = sign (g(-z) - shift)
            after_bias -= known.sign * known.shift * after[:, turned].sum(axis=1)
            after[:, turned] *= known.sign
        units = action.states(flat(layers))[n + 1]
        order = np.argsort(units.mean(axis=0), kind="stable")
        layers[n] = matrix[order], bias[order]
        layers[n + 1] = after[:, order], after_bias
    return flat(layers)
