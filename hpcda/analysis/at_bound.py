r"""The distribution of an unknown whose estimate lies at a bound.

At a minimum on a bound the action still falls toward it. With s ≥ 0 the distance into the allowed side, g ≥ 0
the slope and h ≥ 0 the curvature of the action there (the free unknowns integrated out),

    p(s) = exp(-g s - h s²/2) / V,    V = √(2π/h) exp(z²/2) Φ(-z),    z = g/√h

a Gaussian's tail beyond z standard deviations: exponential where g is large, half a Gaussian where g is 0 (N.
L. Johnson, S. Kotz, N. Balakrishnan, Continuous Univariate Distributions 1, Wiley 1994, sections 10.1 and
13.10).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
STEEP = 1e4
"""z above which the law is taken for exponential: it is, to 1e-7."""
ASYMPTOTIC = 30.0
"""z above which the variance is (1 - 6/z² + 50/z⁴)/g², the formula being a difference of nearly equal
numbers."""
SHARE = 0.95
"""Probability within `OneSided.reach`."""


@dataclass(frozen=True)
class OneSided:
    """The laws of several unknowns at bounds, each array of shape (n,).

    Attributes:
        mean: Mean distance from the bound.
        variance: Its variance.
        reach: Distance within which the unknown lies with probability `SHARE`.
        log_volume: log V.
    """

    mean: Array
    variance: Array
    reach: Array
    log_volume: Array


def one_sided(slope: npt.ArrayLike, curvature: npt.ArrayLike) -> OneSided:
    """The law at a bound; slope and curvature must not both vanish.

    Args:
        slope: g ≥ 0, in units of the action per unit of the unknown, shape (n,).
        curvature: h; what is below 0 counts as 0, shape (n,).
    """
    g = np.asarray(slope, dtype=np.float64)
    if not g.size:
        return OneSided(g, g, g, g)
    from scipy.special import log_ndtr, ndtri_exp

    h = np.maximum(np.asarray(curvature, dtype=np.float64), 0.0)
    steep = g > STEEP * np.sqrt(h)
    rate, width = np.where(steep, g, 1.0), np.sqrt(np.where(steep, 1.0, h))
    z = np.where(steep, 0.0, g / width)
    tail = log_ndtr(-z)
    ratio = np.exp(-0.5 * z**2 - 0.5 * np.log(2.0 * np.pi) - tail)
    mean = (ratio - z) / width
    inverse = np.maximum(z, ASYMPTOTIC) ** -2.0
    late = inverse * (1.0 - 6.0 * inverse + 50.0 * inverse**2)
    variance = np.where(z > ASYMPTOTIC, late, 1.0 - ratio * (ratio - z)) / width**2
    reach = (-ndtri_exp(np.log1p(-SHARE) + tail) - z) / width
    volume = 0.5 * np.log(2.0 * np.pi) - np.log(width) + 0.5 * z**2 + tail
    return OneSided(
        np.where(steep, 1.0 / rate, mean),
        np.where(steep, rate**-2.0, variance),
        np.where(steep, -np.log1p(-SHARE) / rate, reach),
        np.where(steep, -np.log(rate), volume),
    )
