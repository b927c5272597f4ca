"""A path that obeys the model exactly, and its relaxation at large finite Rf, where a Hessian exists.

At Rf = ∞ the action has no Hessian: only directions that obey the linearized model are free. At a large Rf a
minimum x(Rf) lies within O(1/Rf) of the exact one, its action M = C/Rf below (`hpcda.search.plateau`), and
the inverse of its Hessian is within O(1/Rf) of the covariance of the exact minimum, Z (Zᵀ ∇²L Z)⁻¹ Zᵀ with Z
a basis of those directions and L the action with the multipliers' terms. So error bars, and all else that
rests on a Hessian, are computed at an Rf at which M is as small as double precision allows for.
"""

from __future__ import annotations

from hpcda.action import Action
from hpcda.problem import Array
from hpcda.search.finer import minimum_at

NATS = 1e-5
"""How far below the exact level the level may lie, in nats: estimates move by less than 0.005 deviations."""
TRIES = 4
"""Rf that are tried; far from infinity the rise does not fall as 1/Rf."""


def precision(action: Action, path: Array, rf: float) -> float:
    """An Rf, not below `rf`, at which the level is about `NATS` below the exact one.

    Args:
        action: The action.
        path: A path that obeys the model exactly, a minimum, shape (size,).
        rf: Where to look first.

    Raises:
        StepUnknownError: No minimum is found near the path.
    """
    for _ in range(TRIES):
        rise = action.value(relaxed(action, path, rf), rf).model
        if rise <= 2.0 * NATS:
            break
        rf *= rise / NATS
    return rf


def relaxed(action: Action, path: Array, rf: float) -> Array:
    """The minimum at a finite `rf` near an exact one, shape (size,).

    Raises:
        StepUnknownError: None is found.
    """
    return minimum_at(action, path, rf, 1)
