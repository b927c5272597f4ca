"""The lowest network so far with a few units of one hidden layer drawn anew, downhill again.

A minimum that is wrong is often so by a few units, whose weights the others keep from changing.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hpcda.action.network import Network
from hpcda.problem import Array
from hpcda.search.training import STEPS, NetworkContext, Training, step_work

MOST = 5
"""Units that are drawn anew, at most."""


def _weights(context: NetworkContext, minima: Sequence[Array], rng: np.random.Generator) -> Array:
    if context.network.continuum is not None:
        return _of_field(context, minima[0], rng)
    layers = [(matrix.copy(), bias.copy()) for matrix, bias in context.action.weights(minima[0])]
    n = int(rng.integers(len(layers) - 1))
    (matrix, bias), (after, _) = layers[n], layers[n + 1]
    units = rng.permutation(len(bias))[: int(rng.integers(1, MOST + 1))]
    size, size_after = np.std(matrix), np.std(after)
    matrix[units] = size * rng.standard_normal((len(units), matrix.shape[1]))
    bias[units] = np.std(bias) * rng.standard_normal(len(units))
    after[:, units] = size_after * rng.standard_normal((len(after), len(units)))
    return context.action.replaced(minima[0], layers)


def _of_field(context: NetworkContext, theta: Array, rng: np.random.Generator) -> Array:
    """With a few components of a field drawn anew: by the same numbers at all times."""
    found = theta.copy()
    layers, field = context.action.matrices(found), context.network.field
    width = len(layers[field[0]][1])
    units = rng.permutation(width)[: int(rng.integers(1, min(MOST, width) + 1))]
    drawn = rng.standard_normal((len(units), width + 1))
    for n in field:
        matrix, bias = layers[n]
        matrix[units], bias[units] = np.std(matrix) * drawn[:, :-1], np.std(bias) * drawn[:, -1]
    after, _ = layers[-1]
    after[:, units] = np.std(after) * rng.standard_normal((len(after), len(units)))
    if field[0]:
        before, _ = layers[0]
        before[units] = np.std(before) * rng.standard_normal((len(units), before.shape[1]))
    return found


def _fits(network: Network) -> bool:
    return len(network.widths) > 2


TRAINING = Training(
    "redrawn",
    "the lowest network so far, with up to five units of a hidden layer drawn again",
    _weights,
    parents=1,
    fits=_fits,
    work=lambda network: STEPS * step_work(network),
    place=3,
)
