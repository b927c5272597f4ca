"""g(z) = (z + √(z² + ε²))/2, ε = 0.1: max(z, 0) with a round corner."""

import numpy as np

from hpcda.action.activation import Activation

CORNER = 0.1

ACTIVATION = Activation(
    "smooth-relu",
    "max(z, 0) with a corner rounded over 0.1",
    lambda z: 0.5 * (z + np.sqrt(z * z + CORNER**2)),
    place=3,
)
