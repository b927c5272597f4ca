"""The logistic function g(z) = 1 / (1 + exp(-z)) = (1 + tanh(z/2)) / 2, the latter without overflow."""

import numpy as np

from hpcda.action.activation import Activation

ACTIVATION = Activation(
    "sigmoid", "1 / (1 + exp(-z)), from 0 to 1", lambda z: 0.5 + 0.5 * np.tanh(0.5 * z), place=1
)
