"""g(z) = tanh z."""

import numpy as np

from hpcda.action.activation import Activation

ACTIVATION = Activation("tanh", "tanh z, from -1 to 1", np.tanh, place=0)
