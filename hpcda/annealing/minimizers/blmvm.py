"""TAO's blmvm: bounded limited-memory quasi-Newton."""

from hpcda.annealing.minimizer import MinimizerSpec, Tao

MINIMIZER = MinimizerSpec(
    "blmvm",
    "TAO: bounded limited-memory quasi-Newton",
    Tao("blmvm", remembers=True),
    bounds=True,
    spread=True,
    place=100,
)
