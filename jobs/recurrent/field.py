"""Lorenz 1963 whose last two equations are not known: a network stands for them.

    dx/dt = 10 (y - x),    d(y, z)/dt = 10 (W2 tanh(W1 s + b1) + b2),    s = (x, y, z - 25)/10

The first equation says what y is, which nothing measures.
"""

import numpy as np

from hpcda import Model, Parameter, State


def equations(x, p):
    scaled = np.array([x.x, x.y, x.z - 25.0]) / 10.0
    rates = 10.0 * (p.W2 @ np.tanh(p.W1 @ scaled + p.b1) + p.b2)
    return [10.0 * (x.y - x.x), *rates]


def build(units=8):
    return Model(
        name="field",
        states=(
            State("x", range=(-20.0, 20.0)),
            State("y", range=(-25.0, 25.0)),
            State("z", range=(0.0, 50.0)),
        ),
        parameters=(
            Parameter("W1", 0.0, range=(-1.0, 1.0), shape=(units, 3)),
            Parameter("b1", 0.0, range=(-1.0, 1.0), shape=(units,)),
            Parameter("W2", 0.0, range=(-2.0, 2.0), shape=(2, units)),
            Parameter("b2", 0.0, range=(-1.0, 1.0), shape=(2,)),
        ),
        equations=equations,
        title="Lorenz 1963 with a network for its last two equations",
    )
