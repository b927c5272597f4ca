"""A discrete-time map: r = x(n+1) - f(x(n), p, u(n)).

Abarbanel, Rozdeba, Shirman, Neural Computation 30, 2025 (2018), equation (4): layers, or times, of a given
rule.
"""

from hpcda.action.scheme import scheme

SCHEME = scheme(
    "map",
    "for maps: no time stepping",
    state=[[1, 0]],
    position=[[0, 1]],
    rate=[[1]],
    order=1,
    kind="map",
    place=40,
)
