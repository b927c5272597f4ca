"""Heun's method, explicit Runge–Kutta: r = x(n+1) - x(n) - dt/2 [k + F(x(n) + dt k)], k = F(x(n)).

Hairer, Nørsett, Wanner, Solving Ordinary Differential Equations I, Springer 1993, section II.1.
"""

from hpcda.action.scheme import scheme

SCHEME = scheme(
    "heun",
    "Heun's explicit Runge–Kutta, of second order",
    state=[[1, 0], [1, 0]],
    known=[[1, 0], [0, 1]],
    inner=[[0, 0], [1, 0]],
    position=[[-1, 1]],
    rate=[[0.5, 0.5]],
    order=2,
    place=25,
)
