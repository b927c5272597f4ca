"""Implicit midpoint rule: r = x(n+1) - x(n) - dt F((x(n) + x(n+1))/2), symplectic and of second order.

Hairer, Lubich, Wanner, Geometric Numerical Integration, Springer 2006, section II.1.
"""

from hpcda.action.scheme import scheme

SCHEME = scheme(
    "implicit-midpoint",
    "implicit midpoint rule, of second order, symplectic",
    state=[[0.5, 0.5]],
    position=[[-1, 1]],
    rate=[[1]],
    order=2,
    place=20,
)
