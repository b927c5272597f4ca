"""SNES's newtonls: Newton with line search on the gradient."""

from hpcda.annealing.minimizer import MinimizerSpec, Snes

MINIMIZER = MinimizerSpec(
    "snes-newtonls",
    "SNES: Newton with line search on the gradient",
    Snes("newtonls"),
    bounds=False,
    spread=True,
    place=140,
)
