"""TAO's lmvm: limited-memory quasi-Newton."""

from hpcda.annealing.minimizer import MinimizerSpec, Tao

MINIMIZER = MinimizerSpec(
    "lmvm",
    "TAO: limited-memory quasi-Newton",
    Tao("lmvm", remembers=True),
    bounds=False,
    spread=True,
    place=90,
)
