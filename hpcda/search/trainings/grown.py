"""Layerwise growth: one hidden layer is trained first; further layers are inserted before the output.

A new layer begins as nearly nothing: it works about a point where its activation g is as good as linear,

    x' = g(ε (x - m)) ≈ g(0) + ε g'(0) (x - m),    m the mean of x over the pairs,

and the next one undoes that, W' = W / (ε g'(0)), b' = b + W m - W 1 g(0) / (ε g'(0)), so that the network is
nearly what it was (T. Chen, I. Goodfellow, J. Shlens, ICLR 2016, arXiv:1511.05641). It is there by name: a
search does not take it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from hpcda.action.exact_network import ExactNetwork
from hpcda.action.network import Network
from hpcda.annealing.exact import ExactSettings, descend
from hpcda.problem import Array
from hpcda.search.training import NetworkContext, Training

BETWEEN = ExactSettings(100)
"""Limits of the descent before the next layer is put in."""
PART = 0.3
"""Spread of ε (x - m), in which the activation is as good as linear."""
STEP = 1e-4
LEAST = 1e-2
"""Least g'(0)."""


def _about_zero(network: Network, layer: int) -> tuple[float, float]:
    """g(0) and g'(0) of a layer's activation."""
    low, middle, high = (float(network.activations[layer](one)) for one in (-STEP, 0.0, STEP))
    return middle, (high - low) / (2.0 * STEP)


def _shallow(network: Network, hidden: int) -> Network:
    """The network with its first hidden layers alone, before the output."""
    widths = (*network.widths[: hidden + 1], network.widths[-1])
    return replace(
        network, widths=widths, activations=[*network.activations[:hidden], network.activations[-1]]
    )


def _deeper(action: ExactNetwork, theta: Array, network: Network) -> Array:
    """Weights of a network with one hidden layer more, which gives out nearly the same.

    Args:
        action: Of the network as it is.
        theta: Its weights.
        network: The network with the layer more.
    """
    *before, (last, bias) = action.weights(theta)
    layer = len(before)
    units = action.states(theta)[layer]
    mean, spread = units.mean(axis=0), max(float(units.std()), 1e-6)
    value, slope = _about_zero(network, layer)
    scale = PART / spread
    shrunk = scale * np.eye(network.widths[layer + 1])
    back = last / (scale * slope)
    layers = [*before, (shrunk, -shrunk @ mean), (back, bias + last @ mean - back.sum(axis=1) * value)]
    return action.of(network).replaced(theta, layers)


def _weights(context: NetworkContext, minima: Sequence[Array], rng: np.random.Generator) -> Array:
    network, hidden = context.network, len(context.network.widths) - 2
    action = context.action.of(_shallow(network, 1))
    theta = context.first_weights(action, rng)
    for depth in range(2, hidden + 1):
        context.meanwhile()
        fitted = descend(action, theta, BETWEEN).path
        deeper = context.action.of(_shallow(network, depth))
        theta, action = _deeper(action, fitted, deeper.network), deeper
        context.begun = (depth - 1) / max(hidden - 1, 1)
    return theta


def _fits(network: Network) -> bool:
    """Whether there are hidden layers of one width, whose activations have a slope at 0."""
    inner = network.widths[1:-1]
    if len(inner) < 2 or len(set(inner)) > 1 or network.residual or network.continuum:
        return False
    return all(abs(_about_zero(network, n)[1]) >= LEAST for n in range(len(inner)))


TRAINING = Training(
    "grown",
    "one hidden layer first, then layer after layer is put in",
    _weights,
    fits=_fits,
    work=lambda network: math.inf,
    reports=True,
    place=6,
)
