"""TAO's cg: nonlinear conjugate gradients."""

from hpcda.annealing.minimizer import MinimizerSpec, Tao

MINIMIZER = MinimizerSpec(
    "cg",
    "TAO: nonlinear conjugate gradients",
    Tao("cg", remembers=True),
    bounds=False,
    spread=True,
    place=110,
)
