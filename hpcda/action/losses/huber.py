"""Huber's loss: quadratic within δ noise scales, linear beyond.

    φ = ½ r²  where |r| ≤ δ,  δ |r| - ½ δ²  beyond,    r = (h - y)/s

(P. J. Huber, Ann. Math. Stat. 35, 73 (1964)); the density exp(-φ) has exponential tails.
"""

from functools import cache

import numpy as np

from hpcda.action.loss import Loss, Options, Quantity, alike, by_quadrature
from hpcda.problem import Array

DELTA = 1.345


def _share(r: Quantity, delta: float) -> Quantity:
    size = abs(r)
    return np.where(size <= delta, 0.5 * r * r, delta * size - 0.5 * delta * delta)


@cache
def _moments(delta: float) -> tuple[float, float]:
    return by_quadrature(lambda r: _share(r, delta), lambda r: np.exp(-_share(r, delta)), 60.0 / delta)


def _draw(rng: np.random.Generator, h: Array, s: Array, options: Options) -> Array:
    """By rejection from a Laplace density that lies above exp(-φ) everywhere, δ|r| - ½δ² ≤ φ."""
    delta, count = options["delta"], int(np.size(h))
    found = np.empty(0)
    while len(found) < count:
        tried = rng.laplace(0.0, 1.0 / delta, 2 * count + 16)
        kept = rng.random(len(tried)) < np.exp(delta * abs(tried) - 0.5 * delta**2 - _share(tried, delta))
        found = np.concatenate([found, tried[kept]])
    return h + s * found[:count].reshape(np.shape(h))


LOSS = Loss(
    name="huber",
    sentence="Gaussian noise with exponential tails (Huber), for data with outliers",
    share=lambda h, y, s, options: _share((h - y) / s, options["delta"]),
    residual=lambda h, y, s, options: np.where(
        abs(h - y) <= options["delta"] * s,
        (h - y) / s,
        np.where(h > y, 1.0, -1.0) * np.sqrt(options["delta"] * abs(h - y) / s),
    ),
    noise=lambda h, s, options: alike(h, _moments(options["delta"])),
    draw=_draw,
    deviation=lambda y, s, options: np.broadcast_to(s, np.shape(y)).astype(np.float64),
    options={"delta": DELTA},
    place=2,
)
