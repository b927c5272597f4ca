"""Hidden layers 1.4 times as wide are trained, then pruned unit by unit.

Wide networks have few wrong minima, and what is left of a good one is good (`hpcda.search.pruning`). A wide
network that does not come to what noise leaves of the data has nothing to be pruned for: where the noise is
known, others are drawn in its place.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hpcda.action.factors import DataLoss
from hpcda.action.network import Network
from hpcda.problem import Array
from hpcda.search.training import STEPS, NetworkContext, Training, narrowing_steps, narrowing_work, narrows

WIDER = 1.4
DRAWS, FITS = 12, 1.5
"""Wide networks that are drawn, at most, until one comes down to so many times the action of noise alone."""


def _inner(network: Network) -> list[int]:
    return [max(int(np.ceil(WIDER * width)), width + 1) for width in network.widths[1:-1]]


def _weights(context: NetworkContext, minima: Sequence[Array], rng: np.random.Generator) -> Array:
    wider, network = context.wider(_inner(context.network)), context.network
    known = not isinstance(network.output, DataLoss)
    goal = FITS * 0.5 * float(network.measured.sum()) if known else np.inf
    best: tuple[float, Array] | None = None
    steps, drawn = narrowing_steps(network, wider.network.widths), 0
    while drawn < (DRAWS if known else 1):
        fitted = context.fitted(wider, context.first_weights(wider, rng), goal)
        drawn += 1
        context.begun = drawn * STEPS / (drawn * STEPS + steps)
        if best is None or fitted.parts.total < best[0]:
            best = fitted.parts.total, fitted.path
        if best[0] <= goal:
            break
    assert best is not None
    return context.narrowed(wider, best[1], drawn - 1)


TRAINING = Training(
    "wide",
    "hidden layers 1.4 times as wide, pruned unit by unit",
    _weights,
    fits=lambda network: narrows(network, _inner(network)),
    work=lambda network: narrowing_work(network, _inner(network)),
    reports=True,
    place=1,
)
