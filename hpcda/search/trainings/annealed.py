"""Published annealing: random units and weights, minimized together along a ladder of finite Rf.

The rule of the layers is obeyed a little at first and more from rung to rung, while units and weights are
free; from the last rung's weights the descent at Rf = ∞ goes on (H. Abarbanel, P. Rozdeba, S. Shirman, Neural
Computation 30, 2025 (2018)). Units are drawn evenly from the values of their layer's activation. A search
leaves it out, as it takes long: it is for those who want to see the published way beside others.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from hpcda.annealing.climbs import Settings
from hpcda.annealing.graph import GraphLockstep
from hpcda.problem import Array
from hpcda.search.training import NetworkContext, Training

REACH = 3.0
"""Arguments of an activation, down to minus this and up to it, whose values units are drawn from."""
SETTINGS = Settings(max_iterations=200)
"""Limits of a rung."""
STEPS = 10
"""Steps between two looks at who waits."""


def _units(context: NetworkContext, rng: np.random.Generator) -> Array:
    """Units of all pairs and layers, shape (pairs, units of a pair)."""
    network = context.network
    parts = [] if network.input_std is None else [network.means]
    for width, activation in zip(network.widths[1:], network.activations, strict=True):
        ends = [float(activation(reach)) for reach in (-REACH, REACH)]
        parts.append(rng.uniform(min(ends), max(ends), (network.pairs, width)))
    return np.concatenate(parts, axis=1)


def _weights(context: NetworkContext, minima: Sequence[Array], rng: np.random.Generator) -> Array:
    network, action = context.network, context.action
    weights = context.first_weights(action, rng)[action.inputs :]
    units = _units(context, rng)
    climb = GraphLockstep(context.graph, context.finite, 1, SETTINGS)
    climb.put(0, 0, np.concatenate([units.ravel(), weights]), 0, True)
    path = climb.stacked[:, 0].copy()
    while climb.active:
        context.meanwhile()
        climb.advance(STEPS)
        for one in climb.reached():
            path = one.rung.path
            context.begun = (one.rung.number + 1) / context.finite.rungs
    inputs = path[: units.size].reshape(units.shape)[:, : network.widths[0] if action.inputs else 0]
    return np.concatenate([inputs.ravel(), path[units.size :]])


TRAINING = Training(
    "annealed",
    "random units and weights up a ladder of finite Rf ([ladder] rf0, alpha, rungs)",
    _weights,
    fits=lambda network: network.continuum is None,
    work=lambda network: math.inf,
    climbs=True,
    reports=True,
    place=4,
)
