"""Hermite–Simpson: every second path point b is the midpoint of an interval from a to c of length H = 2 dt.

    Simpson:  x_c - x_a - H/6 (F_a + 4 F_b + F_c)
    Hermite:  x_b - (x_a + x_c)/2 - H/8 (F_a - F_c)

Both are weighted by Rf. Toth et al., Biol. Cybern. 105, 217 (2011); Betts, Practical Methods for Optimal
Control, SIAM 2010, section 4.7.
"""

from hpcda.action.scheme import scheme

SCHEME = scheme(
    "hermite-simpson",
    "Hermite–Simpson, of fourth order: every second point is a midpoint",
    state=[[1, 0, 0], [0, 1, 0], [0, 0, 1]],
    position=[[-1, 0, 1], [-0.5, 1, -0.5]],
    rate=[[1 / 3, 4 / 3, 1 / 3], [1 / 4, 0, -1 / 4]],
    order=4,
    place=10,
)
