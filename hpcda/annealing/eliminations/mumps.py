"""MUMPS: P. Amestoy, I. Duff, J. Koster, J.-Y. L'Excellent, SIAM J. Matrix Anal. Appl. 23, 15 (2001)."""

from hpcda.annealing.elimination import EliminationSpec, Linear

ELIMINATION = EliminationSpec(
    "mumps",
    "one path at a time: Cholesky by MUMPS, over all ranks of the start",
    Linear("mumps", spread=True),
    place=2,
)
