"""A recurrent network as a map: one quantity that is measured, hidden units that are not.

    h(n+1) = tanh(W [y(n), h(n)] + S [cos 2πn/T, sin 2πn/T] + b),    y(n+1) = a y(n) + v · h(n+1)

(J. L. Elman, Cognitive Science 14, 179 (1990), with its output fed back). y is in standard deviations from
the mean of the data. The calendar S is there where a period T, in steps, is given.
"""

import numpy as np

from hpcda import Model, Parameter, State


def equations(x, p, u, t, period):
    sums = p.W @ x + p.b
    if period:
        sums = sums + p.S @ [np.cos(2 * np.pi * t / period), np.sin(2 * np.pi * t / period)]
    h = np.tanh(sums)
    return [p.a * x[0] + p.v @ h, *h]


def build(units=8, period=0.0):
    hidden = tuple(State(f"h{k}", range=(-0.5, 0.5)) for k in range(units))
    calendar = (Parameter("S", 0.0, range=(-0.5, 0.5), shape=(units, 2)),) if period else ()
    return Model(
        name="recurrent",
        states=(State("y", range=(-2.0, 2.0)), *hidden),
        parameters=(
            Parameter("W", 0.0, range=(-0.5, 0.5), shape=(units, units + 1)),
            *calendar,
            Parameter("b", 0.0, range=(-0.1, 0.1), shape=(units,)),
            Parameter("v", 0.0, range=(-0.5, 0.5), shape=(units,)),
            Parameter("a", 0.0, range=(0.0, 0.9)),
        ),
        equations=lambda x, p, u, t: equations(x, p, u, t, period),
        kind="map",
        title="a recurrent network with its output fed back",
        citation="J. L. Elman, Cognitive Science 14, 179-211 (1990)",
    )
