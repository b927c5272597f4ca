"""TAO's bncg: bounded nonlinear conjugate gradients."""

from hpcda.annealing.minimizer import MinimizerSpec, Tao

MINIMIZER = MinimizerSpec(
    "bncg",
    "TAO: bounded nonlinear conjugate gradients",
    Tao("bncg", remembers=True),
    bounds=True,
    spread=True,
    place=120,
)
