"""Chooses the minimizer of a rank's starts: in lockstep, or one start after another."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from hpcda.action import Action
from hpcda.annealing.choice import chosen
from hpcda.annealing.ladder import Ladder
from hpcda.annealing.minimizer import Own
from hpcda.annealing.minimizers import minimizer
from hpcda.annealing.team import OneByOne, Team
from hpcda.annealing.teams import Solver, takes_petsc
from hpcda.annealing.teams import make_team as own_team
from hpcda.petsc.lockstep import TaoLockstepTeam
from hpcda.petsc.minimizers import make_minimizer
from hpcda.petsc.options import PREFIX, house_defaults
from hpcda.petsc.start import PETSc


def options_given() -> list[str]:
    """PETSc's options that somebody gave, without our prefix; those with another prefix are not ours."""
    given = set(PETSc.Options().getAll()) - house_defaults
    return [name.removeprefix(PREFIX) for name in given if name.startswith(PREFIX)]


def make_team(
    action: Action,
    ladder: Ladder,
    solver: Solver | None = None,
    comm: Any = None,
    watch: Callable[[int, float], None] | None = None,
    share: float | None = None,
) -> Team:
    """What works on a rank's starts, with PETSc's options.

    Args:
        action: The action.
        ladder: The rungs.
        solver: How it minimizes.
        comm: Communicator over which one path is spread, or None.
        watch: Called as the work goes on, with (iteration, action).
        share: Starts there are for each team; "lockstep" sets its lanes by it.

    Raises:
        InputError: The minimizer is unknown, cannot do this job, or does not eliminate in this way.
    """
    solver = solver or Solver()
    ranks = 1 if comm is None else comm.size
    name = chosen(action, solver.minimizer, solver.elimination, ranks, options_given(), ladder.infinity)
    spec = minimizer(name, action.problem.bounded, ranks)
    if spec.how is Own.LOCKSTEP:
        return TaoLockstepTeam(
            action,
            ladder,
            solver.max_iterations,
            barrier=solver.barrier,
            rung_tolerance=solver.rung_tolerance,
            watch=watch,
            share=share,
            elimination=solver.elimination,
        )
    if not takes_petsc(spec):
        return own_team(action, ladder, replace(solver, minimizer=name), watch)
    made = make_minimizer(
        action,
        name,
        comm=comm,
        max_iterations=solver.max_iterations,
        barrier=solver.barrier,
        watch=watch,
        elimination=solver.elimination,
    )
    return OneByOne(made, ladder)
