"""Minimizers, one per module; each module defines ``MINIMIZER`` (see `hpcda.annealing.minimizer`)."""

from hpcda.annealing.minimizer import MinimizerSpec
from hpcda.errors import InputError, Mistake
from hpcda.registry import Registry

MINIMIZERS: Registry[MinimizerSpec] = Registry(
    "minimizer", "solver.minimizer", "MINIMIZER", __name__, MinimizerSpec
)


def minimizer(name: str, bounded: bool, ranks: int = 1) -> MinimizerSpec:
    """The minimizer of a name, where it can do the job.

    Args:
        name: Its name.
        bounded: Whether the job has bounds.
        ranks: Ranks that work on one start.

    Raises:
        InputError: There is none, or it cannot.
    """
    if name not in MINIMIZERS:
        remedy = f"use one of {', '.join(MINIMIZERS)}"
        raise InputError(Mistake("solver.minimizer", f"{name!r} is unknown", remedy))
    spec = MINIMIZERS[name]
    able = ", ".join(other.name for other in MINIMIZERS.values() if other.bounds)
    spec.refuse(bounded, ranks, able)
    return spec


__all__ = ["MINIMIZERS", "MinimizerSpec", "minimizer"]
