"""Bernoulli data, y = 1 with probability 1/(1 + exp(-h)): φ = log(1 + exp(h)) - y h, the cross-entropy.

The measured quantity h is the logit, any real number.
"""

import numpy as np

from hpcda.action.loss import Loss, Options, Quantity
from hpcda.problem import Array


def _share(h: Quantity, y: Quantity, s: Quantity, options: Options) -> Quantity:
    above, below = np.where(h > 0.0, h, 0.0), np.where(h > 0.0, 0.0, h)
    return np.where(h > 0.0, h + np.log1p(np.exp(-above)), np.log1p(np.exp(below))) - y * h


def _noise(h: Array, s: Array, options: Options) -> tuple[Array, Array]:
    yes = 1.0 / (1.0 + np.exp(-np.asarray(h, dtype=np.float64)))
    shares = _share(h, 1.0, s, options), _share(h, 0.0, s, options)
    mean = yes * shares[0] + (1.0 - yes) * shares[1]
    return mean, yes * (shares[0] - mean) ** 2 + (1.0 - yes) * (shares[1] - mean) ** 2


def _guess(y: Array) -> Array:
    """The logit of the share of yes among all."""
    share = (np.sum(y) + 0.5) / (len(y) + 1.0)
    return np.full(np.shape(y), np.log(share / (1.0 - share)))


LOSS = Loss(
    name="bernoulli",
    sentence="binary data, 0 or 1 (Bernoulli); the measured quantity is the logit of 1",
    share=_share,
    residual=lambda h, y, s, options: (1.0 / (1.0 + np.exp(-h)) - y) * (np.exp(0.5 * h) + np.exp(-0.5 * h)),
    noise=_noise,
    draw=lambda rng, h, s, options: (rng.random(np.shape(h)) < 1.0 / (1.0 + np.exp(-h))).astype(np.float64),
    deviation=lambda y, s, options: np.full(np.shape(y), 2.0),
    guess=_guess,
    accepts=lambda y: (y == 0.0) | (y == 1.0),
    possible="0 or 1",
    scaled=False,
    place=4,
)
