r"""Plateau test: whether a level still depends on Rf, from its action and model error along the ladder.

At a minimum the action depends on Rf only through the factor of the model error, so that its slope is known:

    dA/dRf = M / Rf,    M = Rf/2 Σ s r², the model part

(the envelope theorem). Where the model errors have become r = λ / (Rf s) with multipliers λ that no longer
change, M falls as 1/Rf, and integrating from Rf to infinity gives the level of a path that obeys the model,

    A(∞) = A + M + O(Rf⁻²).

The limit is taken at the last rung. What it is still off by is told by its change from an earlier rung: the
error falls at least as fast as 1/Rf, so that it is at most |change| / (q - 1), q the ratio of the two Rf.
A ladder that ends at infinity has come to A(∞) itself.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hpcda.problem import Array

NATS, PART = 0.5, 0.1
"""Largest distance of a level from its limit that counts as independence of Rf: in nats, or as a part of
√(n/2), whichever is more. Half a nat cannot move any estimate by more than its standard deviation: exactly
obeyed equations change an action by δᵀ A'' δ / 2, δ the shift of the path."""
APART = 0.5
"""Decades of Rf between two rungs whose limits are compared, at least."""
FALL = 1e-3
"""Relative fall of the action from rung to rung that is more than the minimizer's accuracy."""


@dataclass(frozen=True)
class Plateau:
    """How far a level is from its limit of large Rf.

    Attributes:
        limit: A(∞) as far as the last rung tells; None where there is no rung.
        rise: A(∞) - A = M at the last rung, in nats.
        error: What the limit may be off by, in nats; None where the ladder does not tell.
        change: Relative rise of A per decade of Rf over `decades`; None where the ladder does not tell.
        decades: Decades of Rf between the rungs that were compared.
        reached: Whether the level no longer depends on Rf; None where the ladder does not tell.
        exact: Whether the last rung was at infinity.
    """

    limit: float | None
    rise: float
    error: float | None
    change: float | None
    decades: float
    reached: bool | None
    exact: bool = False


NOT_KNOWN = Plateau(None, 0.0, None, None, 0.0, None)


def plateau(action: Array, model: Array, rf: Array, deviation: float = 0.0) -> Plateau:
    """The distance of a start's last action from its limit.

    Along one minimum the action can only rise with Rf. Where it fell, the start came to another minimum, and
    only the rungs from there on are compared.

    Args:
        action: Of one start, NaN at rungs not visited, shape (R,).
        model: Its model part, the terms with the factor Rf, shape (R,).
        rf: Shape (R,).
        deviation: √(n/2) of n data values, the standard deviation of the action at the true path.
    """
    known = np.flatnonzero(np.isfinite(action) & np.isfinite(model))
    if not len(known):
        return NOT_KNOWN
    if np.isinf(rf[known[-1]]):
        return Plateau(float(action[known[-1]]), 0.0, 0.0, None, 0.0, True, exact=True)
    a, limits, logs = action[known], (action + model)[known], np.log10(rf[known])
    limit, rise = float(limits[-1]), float(model[known[-1]])
    most = max(NATS, PART * deviation)
    falls = 1 + np.flatnonzero(np.diff(a) < -FALL * abs(a[-1]))
    first = int(falls[-1]) if len(falls) else 0
    before = first + np.flatnonzero(logs[first:] <= logs[-1] - APART + 1e-9)
    if not len(before):
        return Plateau(limit, rise, None, None, float(logs[-1] - logs[first]), False if rise > most else None)
    decades = float(logs[-1] - logs[before[-1]])
    change = abs(a[-1] - a[before[-1]]) / max(abs(a[-1]), np.finfo(float).tiny) / decades
    error = float(abs(limit - limits[before[-1]]) / (10.0**decades - 1.0))
    return Plateau(limit, rise, error, float(change), decades, bool(rise + error <= most))


def plateau_of_level(actions: Array, models: Array, rf: Array, deviation: float = 0.0) -> Plateau:
    """The plateau of a level: of the start with most rungs among those that tell.

    Args:
        actions: Of the starts that came there, shape (starts, R), see `plateau`.
        models: Their model parts, shape (starts, R).
        rf: Shape (R,).
        deviation: See `plateau`.
    """
    longest = np.argsort(-np.isfinite(actions).sum(axis=1), kind="stable")
    first = None
    for row in longest:
        found = plateau(actions[row], models[row], rf, deviation)
        if found.reached is not None:
            return found
        first = first or found
    return first or NOT_KNOWN
