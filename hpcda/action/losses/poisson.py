"""Poisson counts of mean h: φ = h - y + y log(y/h), half the deviance.

(P. McCullagh, J. A. Nelder, Generalized Linear Models, Chapman & Hall 1989, section 6.2.) The measured
quantity is the expected count and must be above 0: write `exp(x0)`, or a rate times the counting time.
"""

import numpy as np

from hpcda.action.loss import Loss, Options, Quantity
from hpcda.problem import Array

MOST = 400.0
"""Expected count above which the share is that of a Gaussian, to within a thousandth."""


def _share(h: Quantity, y: Quantity, s: Quantity, options: Options) -> Quantity:
    own = np.where(y > 0.0, y * np.log(np.where(y > 0.0, y, 1.0)), 0.0)
    return h - y + own - y * np.log(h)


def _noise(h: Array, s: Array, options: Options) -> tuple[Array, Array]:
    """By summing over all counts that matter; Lawley's expansion ½ + 1/(12 h) where there are many."""
    rate = np.atleast_1d(np.asarray(h, dtype=np.float64))
    mean, variance = np.full(rate.shape, 0.5), np.full(rate.shape, 0.5)
    mean = np.where(rate > MOST, 0.5 + 1.0 / (12.0 * np.maximum(rate, MOST)), mean)
    small = np.flatnonzero((rate.ravel() <= MOST) & (rate.ravel() > 0.0))
    counts = np.arange(0.0, MOST + 12.0 * np.sqrt(MOST) + 30.0)
    logs = np.concatenate([[0.0], np.cumsum(np.log(counts[1:]))])
    for at in small:
        one = rate.ravel()[at]
        weight = np.exp(counts * np.log(one) - one - logs)
        share = _share(one, counts, 1.0, options)
        expected = float(weight @ share)
        mean.ravel()[at] = expected
        variance.ravel()[at] = float(weight @ (share - expected) ** 2)
    return mean.reshape(np.shape(h)), variance.reshape(np.shape(h))


LOSS = Loss(
    name="poisson",
    sentence="counts of events (Poisson); the measured quantity is the expected count",
    share=_share,
    residual=lambda h, y, s, options: (h - y) / np.sqrt(h),
    noise=_noise,
    draw=lambda rng, h, s, options: rng.poisson(h).astype(np.float64),
    deviation=lambda y, s, options: np.sqrt(np.maximum(y, 1.0)),
    guess=lambda y: np.maximum(y, 0.5),
    accepts=lambda y: (y >= 0.0) & (y == np.floor(y)) & np.isfinite(y),
    possible="a whole number, 0 or more",
    scaled=False,
    place=3,
)
