"""What an elimination gives to a descent: a quadratic model of the action at a point, and a step's cost."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from hpcda.problem import Array

PRODUCTS, PASSES = 20e9, 10e9
"""Operations a second of one core in matrix products, and in passes through the layers, about."""
ROOM = 4e9
"""Bytes that an elimination may take."""


@dataclass(frozen=True)
class Cost:
    """What a step costs.

    Attributes:
        products: Additions and multiplications in matrix products.
        passes: The same in passes through the layers.
        memory: Bytes.
    """

    products: float
    passes: float
    memory: float

    @property
    def fits(self) -> bool:
        """Whether there is room for it."""
        return self.memory <= ROOM

    @property
    def seconds(self) -> float:
        """Estimate for one core."""
        return self.products / PRODUCTS + self.passes / PASSES

    def sentence(self, what: str) -> str:
        """Of what it is the cost, and what that is."""
        megabytes = 1e-6 * self.memory
        return f"{what}, {self.seconds:.2g} s a step, {megabytes:.{0 if megabytes >= 10.0 else 1}f} MB"


class Model(Protocol):
    """The action about a point: its value, its gradient, and a matrix H for its Hessian."""

    @property
    def value(self) -> float:
        """The action."""
        ...

    @property
    def gradient(self) -> Array:
        """Its gradient, shape (size,)."""
        ...

    @property
    def scale(self) -> float:
        """Mean size of H's diagonal entries of weights and biases; not finite where H is not."""
        ...

    def solve(self, shift: float) -> Array | None:
        """-(H + shift)⁻¹ gradient; None where H + shift is not positive definite."""
        ...

    def negative(self) -> Array | None:
        """A direction of length 1 along which H is negative beyond rounding; None where there is none."""
        ...


class Elimination(Protocol):
    """A way to eliminate the unknowns of a step."""

    def gauss_newton(self, point: Array) -> Model:
        """The model with the Gauss-Newton matrix."""
        ...

    def exact(self, point: Array) -> Model:
        """The model with the exact Hessian."""
        ...

    @property
    def cost(self) -> Cost:
        """What a step costs."""
        ...

    @property
    def sentence(self) -> str:
        """What it is, and what a step costs."""
        ...
