"""Weights whose range follows the width of their layers, and L-BFGS as far down as it comes quickly.

Weights of a layer are drawn evenly from ±√(6 / (units before + units after)), which keeps the spread of units
alike from layer to layer (X. Glorot, Y. Bengio, Proc. Machine Learning Research 9, 249 (2010)), biases are 0.
L-BFGS (D. Liu, J. Nocedal, Mathematical Programming 45, 503 (1989); SciPy's) needs gradients alone: where
weights are many it comes close to a minimum in the time of a few Newton steps, which then end the descent.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hpcda.action.passes import flat
from hpcda.problem import Array
from hpcda.search.training import NetworkContext, Training, pass_work, step_work

ITERATIONS, PAIRS = 2000, 20
"""Most iterations, and the pairs of steps that L-BFGS remembers."""
USUAL = 1000
"""Iterations that are usual."""
NEWTON = 10.0
"""Newton steps that are left."""
ENOUGH = 1e-9
"""Part of the action that an iteration brings where L-BFGS ends."""


def _weights(context: NetworkContext, minima: Sequence[Array], rng: np.random.Generator) -> Array:
    layers, done = [], 0

    def report(theta: Array) -> None:
        nonlocal done
        done += 1
        context.begun = done / (done + max(USUAL - done, 1))
        context.meanwhile()

    for rows, columns in context.action.shapes:
        width = np.sqrt(6.0 / (rows + columns - 1))
        layers.append((rng.uniform(-width, width, (rows, columns - 1)), np.zeros(rows)))
    from scipy.optimize import minimize

    found = minimize(
        context.action.gradient,
        context.action.first(context.network.alike(flat(layers))),
        jac=True,
        method="L-BFGS-B",
        callback=report,
        options={
            "maxiter": ITERATIONS,
            "maxfun": 2 * ITERATIONS,
            "maxcor": PAIRS,
            "ftol": ENOUGH,
            "gtol": 0.0,
        },
    )
    return np.asarray(found.x)


TRAINING = Training(
    "scaled",
    "weights scaled by layer width, then L-BFGS",
    _weights,
    work=lambda network: ITERATIONS * pass_work(network) + NEWTON * step_work(network),
    reports=True,
    place=3,
)
