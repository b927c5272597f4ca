"""Student's t noise, which has heavy tails: φ = (ν + 1)/2 · log(1 + ((h - y)/s)²/ν).

An outlier pulls less the farther away it is (K. L. Lange, R. J. A. Little, J. M. G. Taylor, J. Am. Stat.
Assoc. 84, 881 (1989)). For ν > 2 the noise has the standard deviation s √(ν/(ν - 2)).
"""

from functools import cache

import numpy as np

from hpcda.action.loss import Loss, Options, Quantity, alike, by_quadrature
from hpcda.problem import Array

NU = 4.0


@cache
def _moments(nu: float) -> tuple[float, float]:
    def share(r: Array) -> Array:
        return 0.5 * (nu + 1.0) * np.log1p(r * r / nu)

    return by_quadrature(share, lambda r: np.exp(-share(r)), 1e12)


def _residual(h: Quantity, y: Quantity, s: Quantity, options: Options) -> Quantity:
    r = (h - y) / s
    nu = options["nu"]
    return r * np.sqrt((nu + 1.0) / (nu + r * r))


LOSS = Loss(
    name="student-t",
    sentence="noise with heavy tails (Student's t), for data with outliers",
    share=lambda h, y, s, options: 0.5 * (options["nu"] + 1.0) * np.log1p(((h - y) / s) ** 2 / options["nu"]),
    residual=_residual,
    noise=lambda h, s, options: alike(h, _moments(options["nu"])),
    draw=lambda rng, h, s, options: h + s * rng.standard_t(options["nu"], np.shape(h)),
    deviation=lambda y, s, options: np.broadcast_to(s, np.shape(y)).astype(np.float64),
    options={"nu": NU},
    place=1,
)
