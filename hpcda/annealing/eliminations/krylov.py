"""Conjugate gradients with an incomplete Cholesky factor; for its fill levels see `hpcda.petsc.linear`."""

from hpcda.annealing.elimination import EliminationSpec, Linear

ELIMINATION = EliminationSpec(
    "krylov",
    "one path at a time: conjugate gradients with an incomplete Cholesky factor",
    Linear(levels=(3, 12), spread=True),
    place=4,
)
