"""TAO's bnls: bounded Newton with line search."""

from hpcda.annealing.minimizer import MinimizerSpec, Tao

MINIMIZER = MinimizerSpec(
    "bnls",
    "TAO: bounded Newton with line search",
    Tao("bnls", linear="direct"),
    bounds=True,
    spread=True,
    place=50,
)
