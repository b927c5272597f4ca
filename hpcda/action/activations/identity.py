"""g(z) = z."""

from hpcda.action.activation import Activation

ACTIVATION = Activation("identity", "z: the layer is linear", lambda z: z, place=6)
