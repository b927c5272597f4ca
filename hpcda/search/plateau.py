"""How a level depends on Rf: the action of one start along its ladder."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hpcda.problem import Array

PLATEAU = 0.01
"""Largest relative change of the action over the last decade of Rf that counts as independence of Rf."""
SMALL = 0.5
"""So does a change that is less than this part of the deviation which noise gives the action."""
FALL = 1e-3
"""Relative fall of the action from rung to rung that is more than the minimiser's accuracy."""


@dataclass(frozen=True)
class Plateau:
    """How the action of a level changes over the last decade of Rf.

    Attributes:
        change: Relative rise per decade of Rf; None where the ladder does not tell.
        decades: Decades of Rf that it was taken over.
        reached: Whether the level has become independent of Rf; None where the ladder does not tell.
    """

    change: float | None
    decades: float
    reached: bool | None


def plateau(action: Array, rf: Array, deviation: float = 0.0) -> Plateau:
    """Rise of the action over the last decade of Rf, or over the rungs there are if they are fewer.

    Along one minimum the action can only rise with Rf. Where it fell, the start came to another minimum, and
    the rise is counted from there.

    Args:
        action: Of one start, NaN at rungs not visited, shape (R,).
        rf: Shape (R,).
        deviation: √(n/2) of n data values, the standard deviation of the action at the true path.
    """
    known = np.flatnonzero(np.isfinite(action))
    if len(known) < 2:
        return Plateau(None, 0.0, None)
    logs = np.log10(rf[known])
    before = np.flatnonzero(logs <= logs[-1] - 1.0 + 1e-9)
    first = before[-1] if len(before) else 0
    falls = first + 1 + np.flatnonzero(np.diff(action[known[first:]]) < -FALL * abs(action[known[-1]]))
    first = falls[-1] if len(falls) else first
    decades = float(logs[-1] - logs[first])
    if decades <= 0.0:
        return Plateau(None, 0.0, None)
    end, begin = action[known[-1]], action[known[first]]
    change = float(abs(end - begin) / max(abs(end), np.finfo(float).tiny) / decades)
    small = change <= PLATEAU or abs(end - begin) / decades <= SMALL * deviation
    return Plateau(change, decades, bool(small) if decades >= 0.5 else None)


def plateau_of_level(actions: Array, rf: Array, deviation: float = 0.0) -> Plateau:
    """The plateau of a level: of the start with most rungs among those that tell.

    Args:
        actions: Of the starts that came there, shape (starts, R), see `plateau`.
        rf: Shape (R,).
        deviation: See `plateau`.
    """
    longest = np.argsort(-np.isfinite(actions).sum(axis=1), kind="stable")
    first = None
    for row in longest:
        found = plateau(actions[row], rf, deviation)
        if found.reached is not None:
            return found
        first = first or found
    return first or Plateau(None, 0.0, None)
