"""Exact Newton in a trust region, projected on the bounds (`hpcda.petsc.newton`)."""

from hpcda.annealing.minimizer import MinimizerSpec, Own

MINIMIZER = MinimizerSpec(
    "newton",
    "exact Newton in a trust region, projected on the bounds",
    Own.NEWTON,
    bounds=True,
    spread=True,
    place=10,
)
