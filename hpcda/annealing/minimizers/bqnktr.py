"""TAO's bqnktr: bounded quasi-Newton in a trust region, its steps by a Krylov method."""

from hpcda.annealing.minimizer import MinimizerSpec, Tao

MINIMIZER = MinimizerSpec(
    "bqnktr",
    "TAO: bounded quasi-Newton in a trust region",
    Tao("bqnktr", remembers=True),
    bounds=True,
    spread=True,
    place=85,
)
