"""Models: named quantities, plain Python equations, and the compiled derivatives that follow from them."""

from hpcda.models.model import Model, Parameter, State, StateVector, Stimulus

__all__ = ["Model", "Parameter", "State", "StateVector", "Stimulus"]
