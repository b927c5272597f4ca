"""Eliminations, one per module; each module defines ``ELIMINATION`` (see `hpcda.annealing.elimination`)."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any

from hpcda.action import Action
from hpcda.annealing.elimination import EliminationSpec, Linear, Plan
from hpcda.annealing.tied import tied_plan
from hpcda.errors import InputError, Mistake
from hpcda.registry import Registry, article
from hpcda.userfile import called

ELIMINATIONS: Registry[EliminationSpec] = Registry(
    "elimination", "solver.elimination", "ELIMINATION", __name__, EliminationSpec
)
SMALL = 32
"""Unknowns of an interval up to which the first way is taken without counting: it always won."""
_planned: weakref.WeakKeyDictionary[Action, dict[str, Plan]] = weakref.WeakKeyDictionary()


def of_petsc(name: str) -> bool:
    """Whether an elimination is PETSc's: of `newton`, not of `lockstep`."""
    return name != "auto" and isinstance(ELIMINATIONS[name].how, Linear)


def plan(action: Action, name: str = "auto") -> Plan:
    """How a lockstep eliminates the unknowns of an action; planned once.

    Args:
        action: The action.
        name: One of `ELIMINATIONS`, or "auto" for the one of the package that by its counts takes less time.
            Where windows share unknowns of their times there is but one, "tree".

    Raises:
        InputError: The elimination does not fit the problem, or is PETSc's.
        MemoryError: There is too little.
        CompilerError: No C compiler, or no place for compiled code.
    """
    known = _planned.setdefault(action, {})
    if name not in known:
        if action.problem.ties.some:
            known[name] = _tied(action, name)
        elif name != "auto":
            spec = ELIMINATIONS[name]
            how = spec.how
            if isinstance(how, Linear):
                spec.refuse("lockstep", 1)
            else:
                known[name] = _plan_by(how, action, name)
        elif action.structure.scheme.span * action.structure.block <= SMALL:
            known[name] = plan(action, next(iter(ELIMINATIONS)))
        else:
            known[name] = min((plan(action, each) for each in of_lockstep()), key=lambda one: one.seconds)
    return known[name]


def of_lockstep() -> list[str]:
    """The package's own ways of a lockstep: a file beside a job changes nothing that does not name it."""
    return [name for name in ELIMINATIONS if ELIMINATIONS.file(name) is None and not of_petsc(name)]


def _plan_by(how: Callable[[Action], Any], action: Action, name: str) -> Plan:
    """The plan of a way to eliminate.

    Raises:
        InputError: It makes none, or raises an exception in a user's file.
    """
    found = called(how, "solver.elimination", action)
    if not isinstance(found, Plan):
        kind = article(type(found).__name__)
        what = f"the plan of {name!r} in {ELIMINATIONS.home(name)} is {kind}, not a Plan"
        raise InputError(
            Mistake("solver.elimination", what, "return Plan.of_tree(...), as plan() of tree.py")
        )
    return found


def _tied(action: Action, name: str) -> Plan:
    if name not in ("auto", "tree"):
        problem = f"{name!r} does not support parameters that windows share at each time (per_window = false)"
        raise InputError(Mistake("solver.elimination", problem, 'write elimination = "auto"'))
    return tied_plan(action)


__all__ = ["ELIMINATIONS", "EliminationSpec", "Plan", "of_lockstep", "of_petsc", "plan"]
