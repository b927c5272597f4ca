"""Overdispersed counts: mean h and variance h + h²/k, where k is the dispersion.

    φ = y log(y/h) - (y + k) log((y + k)/(h + k)), half of the deviance

(J. M. Hilbe, Negative Binomial Regression, Cambridge 2011, section 8.2.) Poisson's is its limit of large k.
The measured quantity is the expected count and must be above 0: write `exp(x0)`, or a rate times the
counting time.
"""

from functools import cache

import numpy as np

from hpcda.action.loss import Loss, Options, Quantity
from hpcda.problem import Array

MEANS = np.geomspace(1e-3, 1e4, 281)
"""Expected counts between which expectation and variance are interpolated."""


def _share(h: Quantity, y: Quantity, s: Quantity, options: Options) -> Quantity:
    k = options["dispersion"]
    own = np.where(y > 0.0, y * np.log(np.where(y > 0.0, y, 1.0)), 0.0)
    return own - y * np.log(h) - (y + k) * (np.log(y + k) - np.log(h + k))


@cache
def _moments(k: float) -> tuple[Array, Array]:
    """Expectation and variance at `MEANS`, by summing over all counts that matter."""
    found = []
    for h in MEANS:
        most = h + 60.0 * np.sqrt(h + h * h / k) + 60.0 * (1.0 + h / k) + 30.0
        counts = np.unique(
            np.round(np.concatenate([np.arange(2000.0), np.geomspace(2000.0, most + 2000.0, 4000)]))
        )
        width = np.diff(counts, append=counts[-1] + 1.0)
        from scipy.special import gammaln

        logs = gammaln(counts + k) - gammaln(k) - gammaln(counts + 1.0)
        weight = width * np.exp(logs + k * np.log(k / (h + k)) + counts * np.log(h / (h + k)))
        weight /= weight.sum()
        share = _share(h, counts, 1.0, {"dispersion": k})
        mean = float(weight @ share)
        found.append((mean, float(weight @ (share - mean) ** 2)))
    mean, variance = np.array(found).T
    return mean, variance


def _noise(h: Array, s: Array, options: Options) -> tuple[Array, Array]:
    """Beyond `MEANS` counts are gamma-distributed: expectation k (log k - ψ(k)), variance k² ψ'(k) - k."""
    k = float(options["dispersion"])
    mean, variance = _moments(k)
    at, given = np.log(MEANS), np.log(np.maximum(np.asarray(h, dtype=np.float64), 1e-300))
    from scipy.special import digamma, polygamma

    limits = k * (np.log(k) - float(digamma(k))), k * k * float(polygamma(1, k)) - k
    return np.interp(given, at, mean, right=limits[0]), np.interp(given, at, variance, right=limits[1])


def _draw(rng: np.random.Generator, h: Array, s: Array, options: Options) -> Array:
    k = options["dispersion"]
    return rng.poisson(rng.gamma(k, np.asarray(h) / k)).astype(np.float64)


LOSS = Loss(
    name="negative-binomial",
    sentence="counts that vary more than Poisson's; the measured quantity is the expected count",
    share=_share,
    residual=lambda h, y, s, options: (h - y) / np.sqrt(h + h * h / options["dispersion"]),
    noise=_noise,
    draw=_draw,
    deviation=lambda y, s, options: np.sqrt(np.maximum(y, 1.0) * (1.0 + y / options["dispersion"])),
    guess=lambda y: np.maximum(y, 0.5),
    accepts=lambda y: (y >= 0.0) & (y == np.floor(y)) & np.isfinite(y),
    possible="a whole number, 0 or more",
    scaled=False,
    options={"dispersion": 10.0},
    place=4,
)
