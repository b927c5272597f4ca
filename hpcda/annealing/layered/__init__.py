"""Linear solvers for the Newton step of a layered network at Rf = ∞, one per module.

    states first      the Hessian by the weights, inputs eliminated first, Cholesky     (`states`)
    data space        Woodbury's identity, for fewer data than weights                   (`data`)
    Krylov            conjugate gradients with products, without a matrix                (`krylov`)
    PETSc             the same by PETSc's KSP                                (`hpcda.petsc.layered`)

`hpcda.annealing.layered.choice` counts what each costs and takes the cheapest.
"""

from hpcda.annealing.layered.choice import ELIMINATIONS, NAMES, PETSC, cheapest, chosen, of_package
from hpcda.annealing.layered.model import Cost, Elimination, Model, sentence

__all__ = [
    "ELIMINATIONS",
    "NAMES",
    "PETSC",
    "Cost",
    "Elimination",
    "Model",
    "cheapest",
    "chosen",
    "of_package",
    "sentence",
]
