"""TAO's brgn: bounded regularized Gauss–Newton on the residuals."""

from hpcda.annealing.minimizer import MinimizerSpec, Tao

MINIMIZER = MinimizerSpec(
    "brgn",
    "TAO: bounded regularized Gauss–Newton on the residuals",
    Tao("brgn", remembers=True, residuals=True),
    bounds=True,
    place=130,
)
