"""Exact Newton on many starts at once, one in each vector lane (`hpcda.annealing.lockstep`)."""

from hpcda.annealing.minimizer import MinimizerSpec, Own

MINIMIZER = MinimizerSpec(
    "lockstep",
    "exact Newton, many starts at once in vector registers",
    Own.LOCKSTEP,
    bounds=True,
    place=0,
)
