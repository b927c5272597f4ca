"""g(z) = cos z."""

import numpy as np

from hpcda.action.activation import Activation

ACTIVATION = Activation("cos", "cos z", np.cos, place=5)
