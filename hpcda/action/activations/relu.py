"""g(z) = max(z, 0); its slope at 0 is taken as 0, its second derivative as 0 everywhere."""

from hpcda.action.activation import Activation
from hpcda.models.trace import maximum

ACTIVATION = Activation("relu", "max(z, 0)", lambda z: maximum(0.0, z), place=4)
