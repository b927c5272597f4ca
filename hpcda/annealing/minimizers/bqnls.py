"""TAO's bqnls: bounded quasi-Newton with line search."""

from hpcda.annealing.minimizer import MinimizerSpec, Tao

MINIMIZER = MinimizerSpec(
    "bqnls",
    "TAO: bounded quasi-Newton with line search",
    Tao("bqnls", remembers=True),
    bounds=True,
    spread=True,
    place=80,
)
