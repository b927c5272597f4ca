"""PETSc: matrices and vectors of the action, and the minimisers of TAO and SNES by name."""

from hpcda.petsc.minimisers import MINIMISERS, PetscMinimiser, make_minimiser
from hpcda.petsc.options import SolverOptions
from hpcda.petsc.start import petsc_version

__all__ = ["MINIMISERS", "PetscMinimiser", "SolverOptions", "make_minimiser", "petsc_version"]
