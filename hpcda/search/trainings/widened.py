"""The lowest network is given a few new hidden units, trained, and pruned again.

New units feel their layer's inputs as others do, and are hardly felt by the next layer.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hpcda.action.network import Network
from hpcda.problem import Array
from hpcda.search.training import NetworkContext, Training, narrowing_work, narrows

NEW = 2
"""New units of each hidden layer."""
FAINT = 0.01
"""Outgoing weights of a new unit, as a part of the layer's."""


def _inner(network: Network) -> list[int]:
    return [width + NEW for width in network.widths[1:-1]]


def _weights(context: NetworkContext, minima: Sequence[Array], rng: np.random.Generator) -> Array:
    layers = [(matrix.copy(), bias.copy()) for matrix, bias in context.action.weights(minima[0])]
    for n in range(len(layers) - 1):
        (matrix, bias), (after, after_bias) = layers[n], layers[n + 1]
        new = np.std(matrix) * rng.standard_normal((NEW, matrix.shape[1]))
        layers[n] = np.vstack([matrix, new]), np.append(bias, np.std(bias) * rng.standard_normal(NEW))
        faint = FAINT * np.std(after) * rng.standard_normal((len(after), NEW))
        layers[n + 1] = np.hstack([after, faint]), after_bias
    wider = context.wider(_inner(context.network))
    return context.narrowed(wider, wider.replaced(minima[0], layers))


TRAINING = Training(
    "widened",
    "the lowest network so far with two more units a hidden layer, pruned again",
    _weights,
    parents=1,
    fits=lambda network: narrows(network, _inner(network)),
    work=lambda network: narrowing_work(network, _inner(network)),
    reports=True,
    place=2,
)
