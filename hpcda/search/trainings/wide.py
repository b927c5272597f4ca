"""Hidden layers 1.4 times as wide, downhill, of which unit after unit is then taken out.

Wide networks have few wrong minima, and what is left of a good one is good (`hpcda.search.pruning`).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hpcda.action.network import Network
from hpcda.problem import Array
from hpcda.search.training import NetworkScene, Training, narrowing_work, narrows

WIDER = 1.4


def _inner(network: Network) -> list[int]:
    return [max(int(np.ceil(WIDER * width)), width + 1) for width in network.widths[1:-1]]


def _weights(scene: NetworkScene, minima: Sequence[Array], rng: np.random.Generator) -> Array:
    wider = scene.wider(_inner(scene.network))
    return scene.narrowed(wider, scene.first_weights(wider, rng))


TRAINING = Training(
    "wide",
    "hidden layers 1.4 times as wide, pruned unit by unit",
    _weights,
    fits=lambda network: narrows(network, _inner(network)),
    work=lambda network: narrowing_work(network, _inner(network)),
    place=1,
)
