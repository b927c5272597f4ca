"""A field is trained at few steps first, prolonged to twice as many, and so on.

Steps are halved as long as they are even and `FEWEST` are left (`hpcda.search.deepening`). The minimum of
few steps costs little and lies near one of many, from which the last descent is short.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hpcda.action.network import Network
from hpcda.annealing.exact import ExactSettings, descend
from hpcda.problem import Array
from hpcda.search.deepening import prolonged, with_steps
from hpcda.search.training import STEPS, NetworkContext, Training, step_work

FEWEST = 4
"""Steps of the coarsest network, at least."""
LIMITS = ExactSettings(200)
"""Limits of the descents before the last."""


def ladder(steps: int) -> list[int]:
    """The numbers of steps, the coarsest first, up to `steps`."""
    found = [steps]
    while found[0] % 2 == 0 and found[0] // 2 >= FEWEST:
        found.insert(0, found[0] // 2)
    return found


def _weights(context: NetworkContext, minima: Sequence[Array], rng: np.random.Generator) -> Array:
    continuum = context.network.continuum
    assert continuum is not None
    counts = ladder(continuum.steps)
    action = context.action.of(with_steps(context.network, counts[0]))
    theta = context.first_weights(action, rng)
    for done, count in enumerate(counts[1:], 1):
        theta = descend(action, theta, LIMITS).path
        finer = context.action.of(with_steps(context.network, count))
        theta, action = prolonged(action, theta, finer), finer
        context.begun = sum(counts[:done]) / sum(counts)
        context.meanwhile()
    return theta


def _fits(network: Network) -> bool:
    return network.continuum is not None and len(ladder(network.continuum.steps)) > 1


TRAINING = Training(
    "deepened",
    "a field trained at few steps first, then at twice as many, and so on",
    _weights,
    fits=_fits,
    work=lambda network: STEPS * step_work(network),
    reports=True,
    place=2,
)
