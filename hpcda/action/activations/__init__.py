"""Activations of layers, one per module, each defining ``ACTIVATION``; see `hpcda.action.activation`."""

from hpcda.action.activation import Activation
from hpcda.registry import Registry

ACTIVATIONS: Registry[Activation] = Registry(
    "activation", "network.activation", "ACTIVATION", __name__, Activation
)

__all__ = ["ACTIVATIONS", "Activation"]
