"""Chooses the minimizer from the [solver] keys of a job, and refuses keys that contradict each other."""

from __future__ import annotations

from collections.abc import Iterable

from hpcda.action import Action
from hpcda.annealing.eliminations import ELIMINATIONS, of_petsc
from hpcda.annealing.lockstep import FEWEST, MOST_MEMORY, fits
from hpcda.annealing.minimizers import minimizer
from hpcda.errors import InputError, Mistake
from hpcda.formatting import counted
from hpcda.problem import Problem

OWN_SOLVER = ("tao_type", "ksp_", "pc_", "mat_", "snes_")
"""How PETSc's options begin that ask for a minimizer or a linear solver of its own."""
SAME_CHOICE = ("tao_type", "snes_", "ksp_type", "pc_type", "pc_factor_")
"""Those that ask for what an elimination of PETSc's is."""


def asking(options: Iterable[str], beginnings: tuple[str, ...] = OWN_SOLVER) -> str:
    """The first of some PETSc options, names without dash and prefix, that begins so; or an empty text."""
    return next((name for name in sorted(options) if name.startswith(beginnings)), "")


def chosen(
    action: Action,
    name: str,
    elimination: str,
    ranks: int,
    options: Iterable[str] = (),
    infinity: bool = False,
) -> str:
    """The minimizer of a job.

    "auto" is "lockstep" where one rank works on a start, the factors of all lanes fit into memory, and
    neither the elimination nor an option is one of PETSc's linear solvers; else "newton".

    Args:
        action: The action.
        name: One of `hpcda.annealing.minimizers.MINIMIZERS`, or "auto".
        elimination: One of `hpcda.annealing.eliminations.ELIMINATIONS`, or "auto".
        ranks: Ranks that work on one start.
        options: Names of PETSc's options, without dash and prefix.
        infinity: Whether the ladder ends at Rf = ∞, to which "lockstep" alone comes.

    Raises:
        InputError: The minimizer is unknown, cannot do the job, does not eliminate in this way, or an option
            asks for another.
    """
    options = list(options)
    named = elimination != "auto"
    if named:
        _refuse_options(elimination, options)
    if name == "lockstep" and (other := asking(options, ("tao_type",))):
        problem = f"'lockstep' is set, but the PETSc option {other!r} selects another minimizer"
        raise InputError(Mistake("solver.minimizer", problem, "leave one of the two out"))
    refuse_shared_times(action.problem, ranks)
    if name == "auto":
        many = named and not of_petsc(elimination)
        if many and (ranks == 1 or ELIMINATIONS[elimination].linear is None):
            name = "lockstep"
            ELIMINATIONS[elimination].refuse(name, ranks)
            _refuse_large(action, elimination)
        else:
            single = ranks > 1 or asking(options) or of_petsc(elimination) or not fits(action, elimination)
            name = "newton" if single else "lockstep"
    minimizer(name, action.problem.bounded, ranks)
    if named:
        ELIMINATIONS[elimination].refuse(name, ranks)
    if infinity and name != "lockstep":
        problem = (
            f"'infinity' is available only with the minimizer 'lockstep', but this job runs with {name!r}"
        )
        remedy = (
            "leave it out; or leave out solver, PETSc's options and ranks_per_start, or make the job smaller"
        )
        raise InputError(Mistake("ladder.end", problem, remedy))
    return name


def refuse_shared_times(problem: Problem, ranks: int) -> None:
    """Refuse several ranks for one path whose windows share unknowns of their times.

    Raises:
        InputError: They are asked for.
    """
    if ranks > 1 and problem.ties.some:
        remedy = "set ensemble.ranks_per_start = 1"
        what = "several ranks cannot share a path when windows share parameters at each time"
        raise InputError(Mistake("ensemble.ranks_per_start", what, remedy))


def _refuse_options(elimination: str, options: list[str]) -> None:
    other = asking(options, SAME_CHOICE if of_petsc(elimination) else OWN_SOLVER)
    if other:
        problem = f"{elimination!r} is set, but the PETSc option {other!r} selects another solver"
        raise InputError(Mistake("solver.elimination", problem, "leave one of the two out"))


def _refuse_large(action: Action, elimination: str) -> None:
    """Refuse a way of lockstep whose factors do not fit, where "auto" would not take lockstep."""
    if not fits(action, elimination):
        most = f"{1e-9 * MOST_MEMORY:g} GB"
        problem = f"the factors of {counted(FEWEST, 'start')} at once would take more than {most}"
        remedy = 'leave it out, or write solver.minimizer = "lockstep" as well'
        raise InputError(Mistake("solver.elimination", f"{elimination!r}: {problem}", remedy))
