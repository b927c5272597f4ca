"""TAO's bntr: bounded Newton in a trust region."""

from hpcda.annealing.minimizer import MinimizerSpec, Tao

MINIMIZER = MinimizerSpec(
    "bntr",
    "TAO: bounded Newton in a trust region",
    Tao("bntr", linear="icc"),
    bounds=True,
    spread=True,
    place=60,
)
