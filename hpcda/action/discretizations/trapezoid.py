"""Trapezoid rule: r = x(n+1) - x(n) - dt/2 [F(x(n)) + F(x(n+1))].

Ye et al., Nonlin. Processes Geophys. 22, 205 (2015), the discretization of their action.
"""

from hpcda.action.scheme import scheme

SCHEME = scheme(
    "trapezoid",
    "trapezoid rule, of second order",
    state=[[1, 0], [0, 1]],
    position=[[-1, 1]],
    rate=[[0.5, 0.5]],
    order=2,
    place=0,
)
