"""Explicit Runge–Kutta of fourth order: r = x(n+1) - x(n) - dt/6 (k1 + 2 k2 + 2 k3 + k4).

Known series and time-dependent parameters are interpolated linearly to the half step. Hairer, Nørsett,
Wanner, Solving Ordinary Differential Equations I, Springer 1993, section II.1.
"""

from hpcda.action.scheme import scheme

SCHEME = scheme(
    "rk4",
    "explicit Runge–Kutta, of fourth order",
    state=[[1, 0], [1, 0], [1, 0], [1, 0]],
    known=[[1, 0], [0.5, 0.5], [0.5, 0.5], [0, 1]],
    inner=[[0, 0, 0, 0], [0.5, 0, 0, 0], [0, 0.5, 0, 0], [0, 0, 1, 0]],
    position=[[-1, 1]],
    rate=[[1 / 6, 1 / 3, 1 / 3, 1 / 6]],
    order=4,
    place=30,
)
