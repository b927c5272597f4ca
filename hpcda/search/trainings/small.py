"""Weights and biases uniform in a small range around 0."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hpcda.problem import Array
from hpcda.search.training import STEPS, NetworkContext, Training, step_work


def _weights(context: NetworkContext, minima: Sequence[Array], rng: np.random.Generator) -> Array:
    return context.first_weights(context.action, rng)


TRAINING = Training(
    "small",
    "weights uniform in network.start",
    _weights,
    work=lambda network: STEPS * step_work(network),
    place=0,
)
