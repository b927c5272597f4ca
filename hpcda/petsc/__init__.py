"""PETSc: matrices and vectors of the action, and the minimisers of TAO and SNES by name."""

from hpcda.petsc.lockstep import TaoLockstepTeam
from hpcda.petsc.minimisers import PetscMinimiser, make_minimiser
from hpcda.petsc.options import SolverOptions, given_options
from hpcda.petsc.start import petsc_version
from hpcda.petsc.teams import make_team

__all__ = [
    "TaoLockstepTeam",
    "PetscMinimiser",
    "SolverOptions",
    "given_options",
    "make_minimiser",
    "make_team",
    "petsc_version",
]
