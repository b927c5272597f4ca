"""TAO's ntl: Newton in a trust region with line search."""

from hpcda.annealing.minimizer import MinimizerSpec, Tao

MINIMIZER = MinimizerSpec(
    "ntl",
    "TAO: Newton in a trust region with line search",
    Tao("ntl", linear="icc"),
    bounds=False,
    spread=True,
    place=40,
)
