"""SNES's newtontr: Newton in a trust region on the gradient."""

from hpcda.annealing.minimizer import MinimizerSpec, Snes

MINIMIZER = MinimizerSpec(
    "snes-newtontr",
    "SNES: Newton in a trust region on the gradient",
    Snes("newtontr", krylov="gmres"),
    bounds=False,
    spread=True,
    place=150,
)
