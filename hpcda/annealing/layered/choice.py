"""Chooses the linear solver of a layered network: the fastest by operation counts that fits into memory.

Operations are counted and the rates are the same on every machine, so that a choice is too.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from hpcda.action.exact_network import ExactNetwork
from hpcda.annealing.layered.data import Data
from hpcda.annealing.layered.krylov import Krylov
from hpcda.annealing.layered.model import Elimination
from hpcda.annealing.layered.states import States
from hpcda.errors import InputError, Mistake

ELIMINATIONS: Mapping[str, Callable[[ExactNetwork], Elimination]] = {
    way.__name__.lower(): way for way in (States, Data, Krylov)
}
"""Name -> elimination of an action."""
PETSC = "petsc"
"""Name of the one that is PETSc's, `hpcda.petsc.layered`; it is counted as `Krylov`, whose work it does."""
NAMES = ("auto", *ELIMINATIONS, PETSC)
"""All that a job may name."""


def of_package(name: str) -> str:
    """The elimination of this package that does the work of one of a name."""
    return Krylov.__name__.lower() if name == PETSC else name


def cheapest(action: ExactNetwork) -> Elimination:
    """The elimination of least counted time, of those that there is room for; the last needs least."""
    found = [make(action) for make in ELIMINATIONS.values()]
    small = [one for one in found if one.cost.fits]
    return min(small or found[-1:], key=lambda one: one.cost.seconds)


def chosen(action: ExactNetwork, name: str) -> Elimination:
    """The elimination of a name; the cheapest for "auto".

    Raises:
        InputError: There is none of this name.
    """
    if name == "auto":
        return cheapest(action)
    if name not in ELIMINATIONS:
        known = ", ".join(repr(own) for own in ("auto", *ELIMINATIONS))
        raise InputError(
            Mistake("elimination", f"{name!r} is not available for layered networks", f"choose of {known}")
        )
    return ELIMINATIONS[name](action)
