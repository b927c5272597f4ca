"""Defines `MinimizerSpec` and `Minimizer`: takes a path and an Rf, and returns a path of lower action.

Nothing of PETSc is imported here: what PETSc is to make is data, which `hpcda.petsc` reads; a minimizer that
is not PETSc's brings a function that makes it.
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
        """The minimum that lies downhill from `path`; a failure is a result, never an exception.

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


@dataclass(frozen=True)
class Limits:
    """What a job asks of any minimizer.

    Attributes:
        max_iterations: Limit of iterations at one rung.
        watch: To be called as the work goes on, with (iteration, action).
    """

    max_iterations: int
    watch: Callable[[int, float], None]


@dataclass(frozen=True)
class Tao:
    """A type of TAO, PETSc's minimizers.

    Attributes:
        type: PETSc's name of it.
        linear: How it solves linear systems unless options say otherwise: "direct", "icc" (conjugate
            gradients in a trust region, preconditioned), or "" for none.
        remembers: Whether it carries what it has learned over to the next minimization. It is made anew for
            each then: a rung depends on its path alone, whatever was minimized before it.
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
    """hpcda's own methods; a TAO of type python carries them, with its options, tolerances and monitors."""

    NEWTON = "newton"
    LOCKSTEP = "lockstep"

    @property
    def linear(self) -> str:
        """See `Tao`."""
        return "direct" if self is Own.NEWTON else ""


Make = Callable[[Action, Limits], Minimizer]


@dataclass(frozen=True)
class MinimizerSpec:
    """One minimizer.

    Attributes:
        name: As the job file names it.
        sentence: What it is, in one line.
        how: What PETSc is to make; or, of one that is not PETSc's, (action, limits) -> a `Minimizer`.
        bounds: Whether it keeps bounds.
        spread: Whether several ranks can work on one path.
        place: Where it stands among others.
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
        """Refuse a job that it cannot do.

        Args:
            bounded: Whether the job has bounds.
            ranks: Ranks that work on one start.
            able: Minimizers that keep bounds, for the message.

        Raises:
            InputError: It cannot.
        """
        if ranks > 1 and not self.spread:
            problem = f"{self.name!r} works on one rank per start, but {ranks} are requested"
            remedy = "set ensemble.ranks_per_start = 1 or use 'newton'"
            raise InputError(Mistake("solver.minimizer", problem, remedy))
        if bounded and not self.bounds:
            problem = f"{self.name!r} does not support the bounds of this job"
            remedy = f"use one of {able}, or remove the bounds"
            raise InputError(Mistake("solver.minimizer", problem, remedy))
