"""Factor graphs that are no chains, for the tests."""

from __future__ import annotations

import numpy as np

from hpcda.action.factors import DataLoss, Factors, gaussian
from hpcda.action.graph import GraphAction
from hpcda.action.kernel import traced_kernel
from hpcda.action.losses import LOSSES
from hpcda.action.network import Network
from hpcda.problem import Variable, Variables
from tests.chance import generator


def quadratic_map():
    """x(n+1) = r(n) x (1 - x) + e y, y(n+1) = x: windows of different lengths, r(n) shared by all windows."""
    times = (5, 7, 4)
    rng = generator(51)
    variables = Variables(
        (
            Variable("x", (2,), per_time=True, per_window=True, start=(0.1, 0.9)),
            Variable("r", per_time=True, start=(2.5, 3.9)),
            Variable("e", per_window=True, start=(0.0, 0.2)),
        ),
        times,
    )
    kernel = traced_kernel(
        lambda x, r, e, after: [after[0] - r * x[0] * (1 - x[0]) - e * x[1], after[1] - x[0]],
        {"x": (2,), "r": (), "e": (), "after": (2,)},
    )
    steps = [(window, n) for window, count in enumerate(times) for n in range(count - 1)]
    points = [(window, n) for window, count in enumerate(times) for n in range(count)]
    index = variables.index(
        [[("x", w, n), ("r", None, n), ("e", w, None), ("x", w, n + 1)] for w, n in steps]
    )
    data = rng.uniform(0.2, 0.8, len(points))
    seen = [variables.places("x", w, n)[0] for w, n in points]
    rates = [variables.places("r", None, n).item() for n in range(max(times))]
    factors = [
        Factors("steps", "model", kernel, index, weight=(1.0, 4.0), scaled=True),
        gaussian("data", "measurement", seen, data, 0.1),
        gaussian("rates", "prior", rates, 3.2, 0.5),
        gaussian("couplings", "prior", variables.index([[("e", w, None)] for w in range(3)]), 0.1, 0.05),
    ]
    return variables, factors, times, data


WIDTHS = (3, 5, 2)


def network(kind, pairs=4, widths=WIDTHS):
    """Layers of different widths; inputs are exact where outputs are categories."""
    rng = generator(61)
    inputs = rng.normal(size=(pairs, widths[0]))
    if kind == "softmax":
        outputs = np.eye(widths[-1])[rng.integers(0, widths[-1], pairs)]
        return Network(
            widths, (np.tanh, lambda z: z), inputs, outputs, DataLoss(LOSSES["softmax"]), None, 2.0
        )
    outputs = rng.normal(size=(pairs, widths[-1]))
    activations = (lambda z: 1 / (1 + np.exp(-z)), np.tanh)
    if kind == "residual":
        outputs[0, 0] = np.nan
        layers = (*activations, np.tanh)
        return Network((3, *widths), layers, inputs, outputs, 0.3, 0.5, 2.0, residual=True)
    return Network(widths, activations, inputs, outputs, 0.3, 0.5, 2.0)


def counts(loss, unknown, options=None):
    """Data of one unknown each, whose noise has the scale that is the last unknown."""
    rng = generator(71)
    number = 6
    data = rng.poisson(3.0, number).astype(float) if loss == "poisson" else rng.normal(size=number)
    kernel = traced_kernel(
        lambda v, s: [np.exp(v) if loss == "poisson" else v**3, *([s] if unknown else [])],
        {"v": (), "s": ()},
    )
    index = np.stack([np.arange(number), np.full(number, number)], axis=1)
    factors = Factors(
        "data", "measurement", kernel, index, DataLoss(LOSSES[loss], options or {}, unknown), data=data,
        noise_scale=0.6,
    )  # fmt: skip
    variables = Variables((Variable("v", (number,)), Variable("s", start=(0.1, 1.0))))
    return GraphAction(variables, [factors]), data, number


def lagrangian(h=0.1, number=6):
    """The discrete action of a pendulum, Σ h [½ ((q' - q)/h)² + cos((q + q')/2)], ends measured."""
    kernel = traced_kernel(
        lambda q, after, h: h * (0.5 * ((after - q) / h) ** 2 + np.cos(0.5 * (q + after))),
        {"q": (), "after": ()},
        {"h": ()},
    )
    index = np.stack([np.arange(number - 1), np.arange(1, number)], axis=1)
    return GraphAction(
        Variables((Variable("q", per_time=True, per_window=True),), (number,)),
        [
            Factors("path", "model", kernel, index, "plain", constants=[h], scaled=True),
            gaussian("ends", "measurement", [0, number - 1], [0.3, -0.2], 0.01),
        ],
    )


GRAPHS = {
    "map": lambda: quadratic_map()[:2],
    "softmax": lambda: (network("softmax").variables, network("softmax").factors()),
    "pendulum": lambda: (lagrangian().variables, list(lagrangian().graph.factors)),
    "counts": lambda: (
        counts("poisson", False)[0].variables,
        list(counts("poisson", False)[0].graph.factors),
    ),
    "residual": lambda: (network("residual").variables, network("residual").factors()),
    "gaussian": lambda: (network("gaussian").variables, network("gaussian").factors()),
}
