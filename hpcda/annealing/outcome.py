"""What a minimiser is to the annealing: a path and an Rf in, a lower path out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from hpcda.action import Parts
from hpcda.annealing.reasons import Reason
from hpcda.problem import Array


@dataclass(frozen=True)
class Outcome:
    """Where a minimisation ended.

    Attributes:
        path: Flat path, shape (size,).
        parts: The action by its terms.
        gradient_norm: Largest entry of the (projected) gradient, each multiplied by the scale of its unknown;
            where lockstep goes on to a further rung, that of the point from which its last step was taken.
        iterations: Steps taken.
        factorizations: Linear systems factorized; 0 where the minimiser uses none.
        reason: Why it ended.
    """

    path: Array
    parts: Parts
    gradient_norm: float
    iterations: int
    factorizations: int
    reason: Reason


class Minimiser(Protocol):
    """Minimises the action at fixed Rf, from a given path."""

    def minimise(self, path: Array, rf: float, fresh: bool = False) -> Outcome:
        """The minimum that lies downhill from `path`; a failure is an outcome, never an exception.

        Args:
            path: Flat path, shape (size,).
            rf: Model-error precision.
            fresh: Whether the path is a start's first one, not the minimum of an earlier rung.
        """
        ...

    @property
    def linear(self) -> str:
        """How it solves linear systems, as a sentence; empty where it does not tell."""
        ...

    def destroy(self) -> None:
        """Free what it holds."""
        ...
