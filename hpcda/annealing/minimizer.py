"""Defines `MinimizerSpec` and `Minimizer`: takes a path and an Rf, and returns a path of lower action.

PETSc is not imported here. A minimizer of PETSc's is described by plain data, which `hpcda.petsc` reads; any
other gives a function that makes it.
"""

from __future__ import annotations

import enum
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from hpcda.action import Action
from hpcda.annealing.record import Rung
from hpcda.errors import InputError, Mistake
from hpcda.problem import Array


class Minimizer(Protocol):
    """Minimizes the action at fixed Rf, from a given path."""

    def minimize(self, path: Array, rf: float, fresh: bool = False) -> Rung:
        """Minimize from `path`; a failure is reported in the result's reason, never as an exception.

        Args:
            path: Flat path, shape (size,).
            rf: Model-error precision.
            fresh: Whether the path is a start's initial path rather than the minimum of an earlier rung.
        """
        ...

    @property
    def linear(self) -> str:
        """How it solves linear systems, as a sentence for provenance; empty if not known."""
        ...

    def destroy(self) -> None:
        """Free its memory."""
        ...


@dataclass(frozen=True)
class Limits:
    """Settings of a job that every minimizer follows.

    Attributes:
        max_iterations: Limit of iterations at one rung.
        watch: (iteration, action) -> None, to be called at every iteration.
    """

    max_iterations: int
    watch: Callable[[int, float], None]


@dataclass(frozen=True)
class Tao:
    """A type of TAO, PETSc's minimizers.

    Attributes:
        type: PETSc's name of the type.
        linear: How it solves linear systems unless options say otherwise: "direct", "icc" (conjugate
            gradients in a trust region, preconditioned), or "" for none.
        remembers: Whether it keeps state, such as a quasi-Newton history, between minimizations. It is then
            created anew for each, so that a rung depends on its path alone.
        residuals: Whether it works on the residuals of the action and their Jacobian.
    """

    type: str
    linear: str = ""
    remembers: bool = False
    residuals: bool = False


@dataclass(frozen=True)
class Snes:
    """A type of SNES, PETSc's solvers of equations, on the gradient; linear systems are solved directly.

    Attributes:
        type: PETSc's name of it.
        krylov: PETSc's name of the Krylov method around the direct solver; "" for none.
    """

    type: str
    krylov: str = ""

    linear = "direct"


class Own(enum.Enum):
    """hpcda's own methods, wrapped in a TAO of type python for its options, tolerances and monitors."""

    NEWTON = "newton"
    LOCKSTEP = "lockstep"

    @property
    def linear(self) -> str:
        """See `Tao`."""
        return "direct" if self is Own.NEWTON else ""


Make = Callable[[Action, Limits], Minimizer]


@dataclass(frozen=True)
class MinimizerSpec:
    """A minimizer that a job can choose.

    Attributes:
        name: The value of `solver.minimizer` in a job file.
        sentence: Description in one line, for people.
        how: The TAO or SNES type; for any other minimizer a function (action, limits) -> `Minimizer`.
        bounds: Whether it respects bounds on the unknowns.
        spread: Whether several ranks can share one path.
        place: Position in lists of minimizers, smallest first.
    """

    name: str
    sentence: str
    how: Tao | Snes | Own | Make
    bounds: bool
    spread: bool = False
    place: int = 100

    @property
    def linear(self) -> str:
        """See `Tao`."""
        return self.how.linear if isinstance(self.how, Tao | Snes | Own) else ""

    def refuse(self, bounded: bool, ranks: int, able: str) -> None:
        """Refuse a job that this minimizer does not support.

        Args:
            bounded: Whether the job has bounds.
            ranks: Ranks that work on one start.
            able: Names of minimizers that respect bounds, for the message.

        Raises:
            InputError: The job has bounds, or several ranks per start, which it does not support.
        """
        if ranks > 1 and not self.spread:
            problem = f"{self.name!r} works on one rank per start, but {ranks} are requested"
            remedy = "set ensemble.ranks_per_start = 1 or use 'newton'"
            raise InputError(Mistake("solver.minimizer", problem, remedy))
        if bounded and not self.bounds:
            problem = f"{self.name!r} does not support the bounds of this job"
            remedy = f"use one of {able}, or remove the bounds"
            raise InputError(Mistake("solver.minimizer", problem, remedy))
