"""Ways to eliminate, one a module, which defines ``ELIMINATION``; see `hpcda.annealing.elimination`."""

from __future__ import annotations

import weakref

from hpcda.action import Action
from hpcda.annealing.elimination import EliminationSpec, Plan
from hpcda.annealing.tied import tied_plan
from hpcda.errors import InputError, Mistake
from hpcda.registry import Registry

ELIMINATIONS: Registry[EliminationSpec] = Registry(
    "elimination", "solver.elimination", "ELIMINATION", __name__, EliminationSpec
)
SMALL = 32
"""Unknowns of an interval up to which the first way is taken without counting: it always won."""
_planned: weakref.WeakKeyDictionary[Action, dict[str, Plan]] = weakref.WeakKeyDictionary()


def plan(action: Action, name: str = "auto") -> Plan:
    """How the unknowns of an action are eliminated; planned once.

    Args:
        action: The action.
        name: One of `ELIMINATIONS`, or "auto" for the one that by its counts takes less time. Where windows
            share unknowns of their times there is but one, "tree".

    Raises:
        InputError: The elimination does not fit the problem.
        MemoryError: There is too little.
        CompilerError: No C compiler, or no place for compiled code.
    """
    known = _planned.setdefault(action, {})
    if name not in known:
        if action.problem.ties.some:
            known[name] = _tied(action, name)
        elif name != "auto":
            known[name] = ELIMINATIONS[name].plan(action)
        elif action.structure.scheme.span * action.structure.block <= SMALL:
            known[name] = plan(action, next(iter(ELIMINATIONS)))
        else:
            known[name] = min((plan(action, each) for each in ELIMINATIONS), key=lambda one: one.seconds)
    return known[name]


def _tied(action: Action, name: str) -> Plan:
    if name not in ("auto", "tree"):
        problem = f"{name!r} does not fit parameters that windows share time by time (per_window = false)"
        raise InputError(Mistake("solver.elimination", problem, 'write elimination = "auto"'))
    return tied_plan(action)


__all__ = ["ELIMINATIONS", "EliminationSpec", "Plan", "plan"]
