"""TAO's bntl: bounded Newton in a trust region with line search."""

from hpcda.annealing.minimizer import MinimizerSpec, Tao

MINIMIZER = MinimizerSpec(
    "bntl",
    "TAO: bounded Newton in a trust region with line search",
    Tao("bntl", linear="icc"),
    bounds=True,
    spread=True,
    place=70,
)
