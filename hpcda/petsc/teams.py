"""Which minimiser works on a rank's starts: in lockstep, or one start after another."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hpcda.action import Action
from hpcda.annealing.choice import chosen
from hpcda.annealing.ladder import Ladder
from hpcda.annealing.minimizer import Limits, Minimiser, Own, Snes, Tao
from hpcda.annealing.minimizers import minimizer
from hpcda.annealing.team import OneByOne, Team
from hpcda.petsc.lockstep import LockstepTeam
from hpcda.petsc.minimisers import make_minimiser
from hpcda.petsc.options import PREFIX, house_defaults
from hpcda.petsc.start import PETSc
from hpcda.userfile import called


def options_given() -> list[str]:
    """PETSc's options that somebody gave, without our prefix; those with another prefix are not ours."""
    given = set(PETSc.Options().getAll()) - house_defaults
    return [name.removeprefix(PREFIX) for name in given if name.startswith(PREFIX)]


def make_team(
    action: Action,
    ladder: Ladder,
    name: str = "auto",
    comm: Any = None,
    max_iterations: int = 1000,
    barrier: float = 1e-3,
    rung_tolerance: float = 1e-5,
    watch: Callable[[int, float], None] | None = None,
    share: float | None = None,
    elimination: str = "auto",
) -> Team:
    """What works on a rank's starts.

    Args:
        action: The action.
        ladder: The rungs.
        name: One of `MINIMIZERS`, or "auto".
        comm: Communicator over which one path is spread, or None.
        max_iterations: Limit of iterations at one rung.
        barrier: Weight of the barrier between two bounds at a start's first rung.
        rung_tolerance: Relative error of the action allowed at rungs below the last; of "lockstep" alone.
        watch: Called as the work goes on, with (iteration, action).
        share: Starts there are for each team; "lockstep" sets its lanes by it.
        elimination: "auto", or one of `hpcda.annealing.eliminations.ELIMINATIONS`.

    Raises:
        InputError: The minimiser is unknown, cannot do this job, or does not eliminate in this way.
    """
    ranks = 1 if comm is None else comm.size
    name = chosen(action, name, elimination, ranks, options_given(), ladder.infinity)
    spec = minimizer(name, action.problem.bounded, ranks)
    if spec.how is Own.LOCKSTEP:
        return LockstepTeam(
            action, ladder, max_iterations, barrier, rung_tolerance, watch, None, share, elimination
        )
    if isinstance(spec.how, Tao | Snes | Own):
        made: Minimiser = make_minimiser(
            action,
            name,
            comm=comm,
            max_iterations=max_iterations,
            barrier=barrier,
            watch=watch,
            elimination=elimination,
        )
    else:
        limits = Limits(max_iterations, watch or (lambda iteration, value: None))
        made = called(spec.how, "solver.minimizer", action, limits)
    return OneByOne(made, ladder)
