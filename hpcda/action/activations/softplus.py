"""g(z) = log(1 + exp z), a smooth max(z, 0), as z/2 + log 2 cosh(z/2): for |z| up to 1,400."""

import numpy as np

from hpcda.action.activation import Activation

ACTIVATION = Activation(
    "softplus",
    "log(1 + exp z), a smooth max(z, 0)",
    lambda z: 0.5 * z + np.log(np.exp(0.5 * z) + np.exp(-0.5 * z)),
    place=2,
)
