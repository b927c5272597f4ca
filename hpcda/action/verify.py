"""Taylor tests of the gradient and the Hessian, and a test of the Hessian's symmetry.

With a right gradient |A(x + e d) - A(x) - e g·d| shrinks like e², with a right Hessian the gradient's
remainder does too. Farrell et al., SIAM J. Sci. Comput. 35, C369 (2013), section 6.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from hpcda.problem import Array, Numbers


class Total(Protocol):
    """The action by its terms."""

    @property
    def total(self) -> float:
        """A(x)."""
        ...


class Differentiable(Protocol):
    """An action with derivatives: of a chain, or of any graph."""

    size: int

    def gradient(self, path: Array, rf: float) -> tuple[Total, Array]:
        """The action and its gradient, shape (size,)."""
        ...

    def hessian(self, path: Array, rf: float) -> tuple[Numbers, Numbers, Array]:
        """The Hessian in compressed rows: row starts, columns, values."""
        ...

    def sizes(self, path: Array) -> Array:
        """Size of every unknown of a path, shape (size,), above 0."""
        ...


@dataclass(frozen=True)
class Verification:
    """What was observed: 2 is the order that right derivatives show; remainders at rounding level count as 2.

    Attributes:
        taylor_gradient: Observed order of the remainder of the action.
        taylor_hessian: Observed order of the remainder of the gradient.
        symmetry: Largest difference between the Hessian and its transpose, relative to its largest entry.
    """

    taylor_gradient: float
    taylor_hessian: float
    symmetry: float

    @property
    def ok(self) -> bool:
        """Whether both orders are at least 1.9 and the asymmetry is at most 1e-12."""
        return self.taylor_gradient >= 1.9 and self.taylor_hessian >= 1.9 and self.symmetry <= 1e-12


def verify(
    action: Differentiable, path: Array, rf: float, seed: int = 0, length: float = 1e-2
) -> Verification:
    """Check the derivatives of an action at a path.

    Args:
        action: The action.
        path: Flat path, shape (size,).
        rf: Model-error precision.
        seed: Seed of the random direction.
        length: Largest step, relative to the size of the path.
    """
    rng = np.random.default_rng(seed)
    direction = rng.standard_normal(action.size) * action.sizes(path)
    start, gradient = action.gradient(path, rf)
    indptr, indices, values = action.hessian(path, rf)
    rows = np.repeat(np.arange(action.size), np.diff(indptr))
    curvature = np.bincount(rows, weights=values * direction[indices], minlength=action.size)
    steps = length / 2.0 ** np.arange(7)
    first: list[tuple[float, float]] = []
    second: list[tuple[float, float]] = []
    noise = 100 * np.finfo(float).eps
    # What rounding of the path and of its sums may change: a right derivative can be small beside its terms.
    reach = np.abs(path) + length * np.abs(direction)
    pull = np.bincount(rows, weights=np.abs(values) * reach[indices], minlength=action.size)
    rounding = float(noise * (abs(start.total) + np.abs(gradient) @ reach))
    rounding_of_slopes = float(noise * (np.linalg.norm(gradient) + np.linalg.norm(pull)))
    for step in steps:
        parts, moved = action.gradient(path + step * direction, rf)
        change = abs(float(parts.total - start.total - step * float(gradient @ direction)))
        bend = float(np.linalg.norm(moved - gradient - step * curvature))
        first.append((change, rounding))
        second.append((bend, rounding_of_slopes))
    return Verification(_order(first), _order(second), _asymmetry(rows, indices, values))


def _order(remainders: list[tuple[float, float]]) -> float:
    clean = [value for value, noise in remainders if value > noise]
    if len(clean) < 3:
        return 2.0
    return float(np.median(np.log2(np.divide(clean[:-1], clean[1:]))))


def _asymmetry(rows: Numbers, columns: Numbers, values: Array) -> float:
    forward, back = np.lexsort((columns, rows)), np.lexsort((rows, columns))
    if not (np.array_equal(rows[forward], columns[back]) and np.array_equal(columns[forward], rows[back])):
        return float("inf")
    return float(np.max(np.abs(values[forward] - values[back])) / np.max(np.abs(values)))
