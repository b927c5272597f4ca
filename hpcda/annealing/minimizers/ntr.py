"""TAO's ntr: Newton in a trust region."""

from hpcda.annealing.minimizer import MinimizerSpec, Tao

MINIMIZER = MinimizerSpec(
    "ntr", "TAO: Newton in a trust region", Tao("ntr", linear="icc"), bounds=False, spread=True, place=30
)
