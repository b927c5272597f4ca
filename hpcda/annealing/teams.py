"""Chooses the team of a process without PETSc: lockstep lanes, or a user's own minimizer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from hpcda.action import Action
from hpcda.annealing.choice import chosen
from hpcda.annealing.ladder import Ladder
from hpcda.annealing.lockstep_team import LockstepTeam
from hpcda.annealing.minimizer import Limits, MinimizerSpec, Own, Snes, Tao
from hpcda.annealing.minimizers import minimizer
from hpcda.annealing.team import OneByOne, Team
from hpcda.userfile import called


@dataclass(frozen=True)
class Solver:
    """How the action is minimized at a rung.

    Attributes:
        minimizer: One of `hpcda.annealing.minimizers.MINIMIZERS`, or "auto".
        elimination: How linear systems are solved: one of `hpcda.annealing.eliminations.ELIMINATIONS`, or
            "auto".
        max_iterations: Limit of iterations at one rung.
        barrier: Weight of the barrier between two bounds at a start's first rung.
        rung_tolerance: Relative error of the action allowed at rungs below the last; of "lockstep" alone.
    """

    minimizer: str = "auto"
    elimination: str = "auto"
    max_iterations: int = 1000
    barrier: float = 1e-3
    rung_tolerance: float = 1e-5


def takes_petsc(spec: MinimizerSpec) -> bool:
    """Whether PETSc makes a minimizer."""
    return isinstance(spec.how, Tao | Snes) or spec.how is Own.NEWTON


def chosen_minimizer(action: Action, ladder: Ladder, solver: Solver, ranks: int = 1) -> MinimizerSpec:
    """The minimizer of a solver where no option of PETSc's asks for another.

    Raises:
        InputError: It is unknown, or cannot do this job.
    """
    name = chosen(action, solver.minimizer, solver.elimination, ranks, (), ladder.infinity)
    return minimizer(name, action.problem.bounded, ranks)


def make_team(
    action: Action,
    ladder: Ladder,
    solver: Solver | None = None,
    watch: Callable[[int, float], None] | None = None,
    share: float | None = None,
) -> Team:
    """What works on a process's starts.

    Args:
        action: The action.
        ladder: The rungs.
        solver: How it minimizes; one whose minimizer `takes_petsc` is for `hpcda.petsc.make_team`.
        watch: Called as the work goes on, with (iteration, action).
        share: Starts there are for each team; "lockstep" sets its lanes by it.

    Raises:
        InputError: The minimizer is unknown, or cannot do this job.
    """
    solver = solver or Solver()
    spec = chosen_minimizer(action, ladder, solver)
    if spec.how is Own.LOCKSTEP:
        return LockstepTeam(
            action, ladder, solver.max_iterations, solver.barrier, solver.rung_tolerance, watch, None, share,
            solver.elimination,
        )  # fmt: skip
    assert not isinstance(spec.how, Tao | Snes | Own)
    limits = Limits(solver.max_iterations, watch or (lambda iteration, value: None))
    return OneByOne(called(spec.how, "solver.minimizer", action, limits), ladder)
