"""TAO's nls: Newton with line search."""

from hpcda.annealing.minimizer import MinimizerSpec, Tao

MINIMIZER = MinimizerSpec(
    "nls", "TAO: Newton with line search", Tao("nls", linear="direct"), bounds=False, spread=True, place=20
)
