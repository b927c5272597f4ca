"""CHOLMOD: Y. Chen, T. Davis, W. Hager, S. Rajamanickam, ACM Trans. Math. Softw. 35, 22 (2008)."""

from hpcda.annealing.elimination import EliminationSpec, Linear

ELIMINATION = EliminationSpec(
    "cholmod", "one path at a time: Cholesky by CHOLMOD", Linear("cholmod"), place=3
)
