r"""Computes A^{-1/2} z for a symmetric positive definite A, using only solutions of shifted systems.

The trapezoidal rule for a contour integral, after a change of variables by elliptic functions of the
parameter 1 - m/M (N. Hale, N. Higham, L. Trefethen, SIAM J. Numer. Anal. 46, 2505, 2008, method 3),

    A^{-1/2} ≈ (2 K √m / (π N)) Σ_j (dn_j / cn_j²) (A + m (sn_j / cn_j)² I)⁻¹,

sn, cn, dn at (j - 1/2) K / N, K the complete integral, j = 1 … N. Where the spectrum lies in [m, M] the
relative error is of the order of exp(-2 π² N / (log(M / m) + 3)), here that of rounding.
"""

from __future__ import annotations

from collections.abc import Callable
from math import ceil, log, pi, sqrt

import numpy as np

from hpcda.linalg.elimination import Array

ERROR = 1e-15
"""Relative error, to its order."""


def terms(least: float, largest: float) -> tuple[Array, Array]:
    """Shifts and weights of the sum.

    Args:
        least: Lower bound m of the spectrum, above 0.
        largest: Upper bound M.
    """
    parameter = 1.0 - least / max(largest, 2.0 * least)
    from scipy.special import ellipj, ellipkm1

    quarter = float(ellipkm1(1.0 - parameter))
    number = ceil((log(1.0 / (1.0 - parameter)) + 3.0) * log(1.0 / ERROR) / (2.0 * pi**2))
    sn, cn, dn, _ = ellipj((np.arange(number) + 0.5) * quarter / number, parameter)
    return least * (sn / cn) ** 2, 2.0 * quarter * sqrt(least) / (pi * number) * dn / cn**2


def inverse_root(solve: Callable[[float, Array], Array], right: Array, least: float, largest: float) -> Array:
    """A^{-1/2} right.

    Args:
        solve: (A + shift I)⁻¹ right, of a shift and a right-hand side.
        right: Shape (n,) or (n, m).
        least: Lower bound of the spectrum, above 0.
        largest: Upper bound.
    """
    found = np.zeros(np.shape(right))
    for shift, weight in zip(*terms(least, largest), strict=True):
        found += weight * solve(float(shift), right)
    return found
