"""Which minimiser works on a rank's starts: in lockstep, or one start after another."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hpcda.action import Action
from hpcda.annealing.ladder import Ladder
from hpcda.annealing.lockstep import fits
from hpcda.annealing.team import OneByOne, Team
from hpcda.errors import InputError, Mistake
from hpcda.petsc.lockstep import LockstepTeam
from hpcda.petsc.minimisers import make_minimiser
from hpcda.petsc.options import PREFIX, house_defaults
from hpcda.petsc.start import PETSc

_OWN_SOLVER = ("tao_type", "ksp_", "pc_", "mat_", "snes_")


def chosen(action: Action, name: str, ranks: int) -> str:
    """The minimiser that `name` stands for.

    "auto" is "lockstep" where one rank works on a start, the factors of all lanes fit into memory
    (`hpcda.annealing.lockstep.fits`), and no PETSc option asks for a TAO type or a linear solver of its own;
    else "newton".

    Raises:
        InputError: "lockstep" with several ranks a start.
    """
    if name == "lockstep" and ranks > 1:
        raise InputError(
            Mistake(
                "solver.minimizer",
                f"'lockstep' works on one rank a start, and {ranks} are asked for",
                "set ensemble.ranks_per_start = 1 or use 'newton'",
            )
        )
    if name != "auto":
        return name
    own = tuple(PREFIX + option for option in _OWN_SOLVER)
    given = set(PETSc.Options().getAll()) - house_defaults
    asked = any(option.startswith(own) for option in given)
    return "newton" if ranks > 1 or asked or not fits(action) else "lockstep"


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
) -> Team:
    """What works on a rank's starts.

    Args:
        action: The action.
        ladder: The rungs.
        name: One of `MINIMISERS`.
        comm: Communicator over which one path is spread, or None.
        max_iterations: Limit of iterations at one rung.
        barrier: Weight of the barrier between two bounds at a start's first rung.
        rung_tolerance: Relative error of the action allowed at rungs below the last; of "lockstep" alone.
        watch: Called as the work goes on, with (iteration, action).
        share: Starts there are for each team; "lockstep" sets its lanes by it.

    Raises:
        InputError: The minimiser is unknown, or cannot do this job.
    """
    ranks = 1 if comm is None else comm.size
    if chosen(action, name, ranks) == "lockstep":
        return LockstepTeam(action, ladder, max_iterations, barrier, rung_tolerance, watch, share=share)
    minimiser = make_minimiser(
        action, name, comm=comm, max_iterations=max_iterations, barrier=barrier, watch=watch
    )
    return OneByOne(minimiser, ladder)
