"""Decides whether a run needs PETSc: if a minimizer, an elimination or an option of PETSc is requested."""

from __future__ import annotations

import importlib.util
import os
import shlex
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from hpcda.action import Action
from hpcda.annealing.ladder import Ladder
from hpcda.annealing.teams import Solver, chosen_minimizer, takes_petsc
from hpcda.errors import InputError, Mistake

QUIET = "-no_signal_handler"
"""A signal asks a run to stop; PETSc's own handlers would end it."""


def options_around() -> str:
    """Where options of PETSc's are given outside the job and the command line; an empty text for nowhere."""
    words = shlex.split(os.environ.get("PETSC_OPTIONS", ""))
    if any(word != QUIET for word in words):
        return "PETSC_OPTIONS"
    files = (Path.cwd() / ".petscrc", Path.home() / ".petscrc", Path.cwd() / "petscrc")
    return next((str(file) for file in files if file.is_file()), "")


def wanted(action: Action, ladder: Ladder, solver: Solver, ranks: int, options: Iterable[str]) -> bool:
    """Whether PETSc works on the starts of a run.

    Args:
        action: The action.
        ladder: The ladder.
        solver: How it is minimized.
        ranks: Ranks that share a start.
        options: Options of PETSc's that the job or the command line gives.

    Raises:
        InputError: The minimizer is unknown, cannot do this job, or takes PETSc, which is not installed.
    """
    options = list(options)
    if options:
        return require(f"the option {options[0]!r}")
    if "petsc4py" in sys.modules or importlib.util.find_spec("petsc4py") is not None:
        if options_around():
            return True
    spec = chosen_minimizer(action, ladder, solver, ranks)
    return takes_petsc(spec) and require(f"the minimizer {spec.name!r}")


def require(what: str) -> bool:
    """True where PETSc is there.

    Raises:
        InputError: It is not installed, and this takes it.
    """
    if "petsc4py" in sys.modules or importlib.util.find_spec("petsc4py") is not None:
        return True
    problem = f"{what} requires PETSc, but petsc4py is not installed"
    raise InputError(Mistake("solver", problem, "pip install 'hpcda[mpi]', or leave it out"))


def given(job_options: Iterable[str], line: Sequence[str]) -> list[str]:
    """The names of the options of a job, and the words of a command line."""
    return [*job_options, *line]
