"""Canonical form of a network under its symmetries: order and signs of hidden units.

Exchanging hidden units of a layer leaves a network as it is; so does reversing one where its activation is
symmetric: odd, g(-z) = -g(z); even, g(-z) = g(z); or odd about a value, g(-z) = c - g(z), as the logistic
function, where the next layer's biases take the difference (V. Kůrková, P. Kainen, Neural Computation 6, 543
(1994)). Units that residual layers carry on (`hpcda.search.streams`) are exchanged in all of them at once,
and reversed where all these layers are odd; where they are the inputs they stay as they are. In the canonical
form the incoming weights of every hidden unit have a sum that is not negative, and units are sorted by their
mean over the data, at the first layer where they are.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hpcda.action.activation import Function
from hpcda.action.exact_network import ExactNetwork
from hpcda.problem import Array
from hpcda.search.streams import Layers, reordered, streams

PROBES = np.array([0.137, 0.71, 1.9, 3.3])
"""Arguments at which an activation is tried for symmetry."""
ALIKE = 1e-12


@dataclass(frozen=True)
class Symmetry:
    """What g(-z) is: sign · g(z) + shift."""

    sign: float
    shift: float


ODD, EVEN = Symmetry(-1.0, 0.0), Symmetry(1.0, 0.0)


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
        theta: Weights and biases, after the inputs where these are noisy.
    """
    layers = [(matrix.copy(), bias.copy()) for matrix, bias in action.weights(theta)]
    known = [symmetry(activation) for activation in action.network.activations]
    for stream in streams(action.network):
        first = stream[0]
        through = known[first - 1 : stream[-1]]
        if len(stream) == 1 or all(own == ODD for own in through):
            _turn(layers, stream, through[0])
        means = action.means(action.replaced(theta, layers))[first]
        reordered(layers, stream, np.argsort(means, kind="stable"))
    for n in range(len(layers) - 1):
        if known[n] == EVEN and action.network.continuum is None:
            _turn_even(layers[n])
    return action.replaced(theta, layers)


def _turn(layers: Layers, stream: range, known: Symmetry | None) -> None:
    """Reverse the units of a stream whose incoming weights have a sum below 0."""
    if known is None or known == EVEN:
        return
    matrix, bias = layers[stream[0] - 1]
    turned = matrix.sum(axis=1) < 0.0
    matrix[turned] *= -1.0
    bias[turned] *= -1.0
    for n in stream:
        matrix, bias = layers[n]
        # g(z) = sign (g(-z) - shift)
        bias -= known.sign * known.shift * matrix[:, turned].sum(axis=1)
        matrix[:, turned] *= known.sign
        if n < stream[-1]:
            matrix[turned] *= known.sign
            bias[turned] *= known.sign


def _turn_even(layer: tuple[Array, Array]) -> None:
    """Reverse the sums of an even layer whose weights have a sum below 0: nothing after it changes."""
    matrix, bias = layer
    turned = matrix.sum(axis=1) < 0.0
    matrix[turned] *= -1.0
    bias[turned] *= -1.0
