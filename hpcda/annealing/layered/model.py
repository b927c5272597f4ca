"""Interface of a linear solver to the minimizer: a quadratic model of the action, and the cost of a step."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Protocol

from hpcda.action.dealt import blocks_of
from hpcda.problem import Array

PRODUCTS, PASSES = 20e9, 10e9
"""Operations a second of one core in matrix products, and in passes through the layers, about."""
ROOM = 4e9
"""Bytes that an elimination may take."""


@dataclass(frozen=True)
class Cost:
    """What a step costs, but for what ranks send each other.

    Attributes:
        products: Additions and multiplications in matrix products over the pairs, which ranks share.
        passes: The same in passes through the layers.
        memory: Bytes that every rank takes.
        alone: Additions and multiplications that every rank does by itself.
        shared: Bytes that ranks share.
    """

    products: float
    passes: float
    memory: float
    alone: float = 0.0
    shared: float = 0.0

    @property
    def fits(self) -> bool:
        """Whether there is room for it."""
        return self.bytes <= ROOM

    @property
    def bytes(self) -> float:
        """Memory of one rank."""
        return self.memory + self.shared

    @property
    def seconds(self) -> float:
        """Estimate for one core."""
        return (self.products + self.alone) / PRODUCTS + self.passes / PASSES

    def on(self, pairs: int, ranks: int) -> Cost:
        """What it costs a rank, of several that share so many pairs; of that which has most of them."""
        blocks = blocks_of(pairs)
        part = -(-blocks // ranks) / blocks
        return replace(
            self, products=part * self.products, passes=part * self.passes, shared=part * self.shared
        )


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

    def solve(self, shift: float, *, enough: float = 0.0) -> Array | None:
        """-(H + shift)⁻¹ gradient; None where H + shift is not positive definite.

        Args:
            shift: What is added to the diagonal.
            enough: Fall of the action that an iteration need not find, but roughly; factors find all.
        """
        ...

    def again(self, gradient: Array) -> Array | None:
        """-H⁻¹ of another gradient, where that costs little: a factor of H is at hand; else None."""
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
    def name(self) -> str:
        """What it is, in words."""
        ...

    def destroy(self) -> None:
        """Free what it holds."""
        ...


class Unheld:
    """An elimination that holds nothing."""

    def destroy(self) -> None:
        """See `Elimination`."""


def sentence(elimination: Elimination, pairs: int, ranks: int = 1) -> str:
    """What an elimination is, and what its steps cost on so many ranks that share so many pairs."""
    cost = elimination.cost.on(pairs, ranks)
    megabytes = 1e-6 * cost.bytes
    each = f" on each of {ranks} ranks" if ranks > 1 else ""
    size = f"{megabytes:.{0 if megabytes >= 10.0 else 1}f} MB"
    return f"{elimination.name}, {cost.seconds:.2g} s a step{each}, {size}"
