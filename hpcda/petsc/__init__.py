"""PETSc: matrices and vectors of the action, and the minimizers of TAO and SNES by name."""

from hpcda.petsc.lockstep import TaoLockstepTeam
from hpcda.petsc.minimizers import PetscMinimizer, make_minimizer
from hpcda.petsc.options import SolverOptions, given_options
from hpcda.petsc.start import petsc_version
from hpcda.petsc.teams import make_team

__all__ = [
    "TaoLockstepTeam",
    "PetscMinimizer",
    "SolverOptions",
    "given_options",
    "make_minimizer",
    "make_team",
    "petsc_version",
]
